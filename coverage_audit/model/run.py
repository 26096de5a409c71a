"""Who recorded what: the run, its writers, and what each split of a writer declared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coverage_audit.model.contract import Contract
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards


@dataclass(frozen=True, slots=True)
class SplitInfo:
    """What a writer declared for one split. ``fingerprint`` is None when no dataset was given.

    ``home``: where the data lies, hashed; shards of one name are the same data where one process gives them one home.
    """

    name: str
    fingerprint: str | None = None
    selected: RowSet | None = None
    contract: Contract = field(default_factory=Contract)
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    epochs: int | None = None
    home: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "selected": None if self.selected is None else [list(r) for r in self.selected.ranges()],
            "contract": {**self.contract.to_json(), "explicit": self.contract.explicit},
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
            "home": self.home,
        }

    @classmethod
    def from_json(cls, name: str, facts: dict[str, Any]) -> SplitInfo:
        selected = facts.get("selected")
        return cls(
            name=name,
            fingerprint=facts.get("fingerprint"),
            selected=None if selected is None else RowSet.of_ranges((a, b) for a, b in selected),
            contract=Contract(**facts["contract"]),
            batch_size=facts.get("batch_size"),
            steps_per_epoch=facts.get("steps_per_epoch"),
            epochs=facts.get("epochs"),
            home=facts.get("home"),
        )


@dataclass(frozen=True, slots=True)
class Writer:
    """One process that records. ``world_size`` is how many ranks it expects in all.

    ``member``: which of several processes of one rank that read the same rows it is, -1 where there is but one.
    ``imported``: the format of the log that its record was made of, "" where it recorded itself.
    """

    attempt: int
    rank: int
    process: int
    world_size: int = 1
    pid: int = 0
    host: str = ""
    splits: tuple[SplitInfo, ...] = ()
    member: int = -1
    imported: str = ""

    @property
    def name(self) -> str:
        """``a000-r0000-p0001``: the stem of everything this writer leaves in the log."""
        return f"a{self.attempt:03d}-r{self.rank:04d}-p{self.process:04d}"


@dataclass(frozen=True, slots=True)
class WriterEnd:
    """How a writer's record ends. ``state``: closed, idle (a fit ended, a loader was exhausted), or open."""

    writer: Writer
    state: str
    live: bool = False
    torn: bool = False
    failures: tuple[str, ...] = ()
    unidentified: tuple[tuple[str, str], ...] = ()
    """(split, reason) of batches whose rows could not be told."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run log as a whole: its path as given, run id, and every writer with how it ended."""

    log: str
    run_id: str
    writers: tuple[WriterEnd, ...] = ()
    datasets: dict[str, Shards] = field(default_factory=dict)

    @property
    def imported(self) -> str:
        """The format of the log that it was made of by `coverage-audit import`, "" where it was recorded."""
        return next((w.writer.imported for w in self.writers if w.writer.imported), "")

    @property
    def attempts(self) -> int:
        return len({w.writer.attempt for w in self.writers})

    @property
    def ranks(self) -> int:
        return len({w.writer.rank for w in self.writers})
