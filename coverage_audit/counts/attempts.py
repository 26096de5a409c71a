"""What each writer and each attempt did, and how much of it the final weights saw."""

from __future__ import annotations

from dataclasses import dataclass

from coverage_audit.counts.source import Origin


@dataclass(frozen=True, slots=True)
class WriterCount:
    """What one writer recorded of a split: steps consumed, batches yielded, visits of the consumed ones, and how many
    different rows these visited over the run."""

    attempt: int
    rank: int
    process: int
    steps: int
    batches: int
    visits: int
    unique: int = 0


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """One launch of the run. ``origin``: what it restored, None if it did not say or nothing came before.

    ``steps`` (per rank, the most any rank made) and ``visits`` (of all ranks) were made; ``steps_kept`` and
    ``visits_kept`` of them count: those that the final weights went through. ``state``: closed, idle or open.
    """

    attempt: int
    origin: Origin | None
    steps: int
    steps_kept: int
    visits: int
    visits_kept: int
    state: str
