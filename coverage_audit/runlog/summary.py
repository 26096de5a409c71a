"""What a writer's marks amount to, once its events are joined: epochs, segments, how the record ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochMark:
    """One epoch (or evaluation) of one split as the trainer told it.

    ``epoch`` and ``fit`` are the ordinals the visits carry; ``number`` is the trainer's own, None if it said none.
    ``complete``: the trainer said so, or its declared steps are all there. Steps are per writer.
    """

    split: str
    epoch: int
    fit: int
    number: int | None
    complete: bool
    steps_declared: int | None
    steps_taken: int
    evaluation: bool
    first_step: int = -1
    """Steps of the split before it; -1 in logs that do not say."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint was saved or restored, on the axes of one split of the writer that said so.

    ``kind``: checkpoint or restored. ``tag``: None for weights that are new. Before it lie ``steps`` steps, ``yields``
    yields, ``epochs`` epochs that had begun, the last of which was going on where ``in_epoch``; ``batch``: the highest
    consumed batch (yielded, where nothing says what was consumed), -1 for none.
    """

    split: str
    kind: str
    tag: str | int | None
    steps: int
    yields: int
    epochs: int
    in_epoch: bool
    batch: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What one ``iter()`` of a split's loader yielded: batches ``first_batch`` .. ``first_batch + batches - 1``.

    ``first_batch`` is -1 if it yielded nothing. ``ended``: exhausted, failed or closed, or "" while it has not.
    ``pass_``: the pass its loader told with its batches (with the failure of the first one), -1 if none.
    """

    split: str
    segment: int
    first_batch: int
    batches: int
    ended: str
    error: str = ""
    pass_: int = -1


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything of a writer's record beside its visits. ``state``: closed, idle or open."""

    state: str
    torn: bool = False
    epochs: tuple[EpochMark, ...] = ()
    segments: tuple[Segment, ...] = ()
    failures: tuple[str, ...] = ()
    unidentified: tuple[tuple[str, str], ...] = field(default=())
    """(split, reason), once each."""
    places: tuple[Place, ...] = ()
    """Each checkpoint and restore in order, once per split."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Summary:
        return cls(
            state=facts["state"],
            torn=facts["torn"],
            epochs=tuple(EpochMark(**e) for e in facts["epochs"]),
            segments=tuple(Segment(**s) for s in facts["segments"]),
            failures=tuple(facts["failures"]),
            unidentified=tuple((split, reason) for split, reason in facts["unidentified"]),
            places=tuple(Place(**p) for p in facts.get("places", ())),
        )
