"""What is to be counted: one split of a run, its streams of visits, one per writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from coverage_audit.counts.remarks import NO_REMARKS, Remarks
from coverage_audit.model.run import RunInfo, SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.visits import Visits


@dataclass(frozen=True, slots=True)
class EpochFacts:
    """What the trainer said of one epoch: its fit, its own number, whether it said that the epoch is over.

    ``declared``: the steps it meant to take, None if it did not say.
    """

    epoch: int
    fit: int
    number: int | None
    complete: bool
    declared: int | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One writer's visits of one split. ``visits()`` starts from the beginning each time it is called.

    ``exhausted_from``: first batches of those ``iter()``s of the loader that ran to its end; ``exhausted``: whether any
    did. ``trained``: consumption was told (by a callback or a Recorder), so yields that were not consumed are holes.
    """

    writer: Writer
    visits: Callable[[], Iterator[Visits]]
    epochs: tuple[EpochFacts, ...] = ()
    trained: bool = False
    exhausted: bool = False
    exhausted_from: frozenset[int] = frozenset()
    evaluation: bool = False
    epoch_offset: int = 0
    """Epochs of earlier attempts that this one does not say it goes on from."""
    errors: tuple[str, ...] = ()
    """What the loader raised."""
    remarks: Remarks = NO_REMARKS
    epochs_asked: int | None = None
    """How many epochs its last fit was to have, by the trainer's own numbers; None if the trainer did not say."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What an attempt began from: ``tag``, saved by attempt ``attempt`` after ``step`` of its own steps.

    ``attempt`` is None where the tag was never saved in this log; ``tag`` too for weights that were new.
    """

    tag: str | int | None
    attempt: int | None
    step: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What was recorded beside the streams that count, where restores parted the two.

    ``writers``: every writer's whole record. ``parts``: per stream that counts, the stretches it is made of, in order;
    ``cuts``: whether each was cut inside an epoch (or told pass). ``origins``: per attempt that says what it restored.
    ``superseded``: names of writers whose end does not matter, because the run went on from a checkpoint before it.
    """

    writers: tuple[Stream, ...]
    parts: tuple[tuple[Stream, ...], ...]
    cuts: tuple[tuple[bool, ...], ...]
    origins: Mapping[int, Origin]
    superseded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SplitSource:
    """One split to count. ``shards`` is None where no dataset was declared.

    ``raw_ids``: the visits were recorded without a dataset, so their rows are sample ids of no shard.
    """

    info: SplitInfo
    shards: Shards | None
    run: RunInfo
    streams: tuple[Stream, ...]
    fingerprints: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    raw_ids: bool = False
    restarts_unplaced: int = 0
    restart_problems: tuple[str, ...] = ()
    """Why it is unknown where a restart went on from, one sentence each."""
    history: History | None = None

    @property
    def trained(self) -> bool:
        return any(s.trained for s in self.streams)
