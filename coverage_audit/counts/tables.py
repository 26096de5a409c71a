"""What counting leaves: per epoch, per pass, per split. Plain values; rules and reports read nothing else.

Ids are sample ids (0..n_ids-1). Epochs count *consumed* batches (trained, or yielded where nobody says what was
trained); passes follow the loader, so they count *yielded* batches in yield order, replays left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.attempts import AttemptCount, WriterCount
from coverage_audit.counts.order import Order
from coverage_audit.counts.remarks import NO_REMARKS, Remarks
from coverage_audit.counts.resumes import Resume
from coverage_audit.counts.shares import EpochShare, SharedRows
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.model.run import RunInfo, SplitInfo
from coverage_audit.model.shards import Shards


@dataclass(frozen=True, slots=True)
class Position:
    """Where an epoch starts: ``batch`` batches of pass ``pass_`` had been yielded before it."""

    pass_: int
    batch: int


@dataclass(frozen=True, slots=True)
class Span:
    """The part of one epoch that lies in one pass of one rank. ``surplus`` counts repeats inside the span."""

    rank: int
    pass_: int
    batches: int
    rows: RowSet
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class EpochCount:
    """One epoch of one split, all ranks merged; ``steps`` is per rank (the most any rank took).

    ``needed``: steps one pass takes per rank, None if unknown; ``needed_from``: observed, projected, computed or
    unknown. ``missed``: expected ids without a visit. ``repeated``: surplus visits. ``replayed``: ids of batches
    that were consumed again without being yielded again. ``unidentified``: rows of batches whose rows are unknown.
    ``outside``: visits that are not of the expected rows. ``aliased``: rows of batches that hold the very rows of the
    batch yielded before them, ``aliased_batches`` how many such batches there are.
    """

    epoch: int
    fit: int
    complete: bool
    steps: int
    visits: int
    unique: int
    missed: RowSet
    repeated: Repeats
    number: int | None = None
    declared: int | None = None
    """Steps the trainer meant to take, where it said so."""
    needed: int | None = None
    needed_from: str = "unknown"
    batch_size: int | None = None
    starts_at: Position | None = None
    spans: tuple[Span, ...] = ()
    replayed: RowSet = field(default_factory=RowSet.empty)
    replayed_batches: int = 0
    unidentified: int = 0
    outside: int = 0
    steps_by_rank: Mapping[int, int] = field(default_factory=dict)
    aliased: RowSet = field(default_factory=RowSet.empty)
    aliased_batches: int = 0

    @property
    def knows_nothing(self) -> bool:
        """Whether rows were visited and not one of them is known: then none is known to be missed, either."""
        return self.unidentified > 0 and self.visits == 0

    @property
    def surplus(self) -> int:
        """visits - unique."""
        return self.repeated.total


@dataclass(frozen=True, slots=True)
class PassCount:
    """One traversal of the data by one rank's loader.

    ``pass_from``: told, inferred or unknown. ``ended_by``: "loader" (it was exhausted, or went on to the next pass),
    "trainer" (a new iter() cut it), or "" (the record ends inside it). ``complete``: it ended by the loader, or every
    expected row was consumed. ``partial_batches``: batches smaller than the batch size; ``shard_end_partials``: those
    among them whose last row is its shard's last. ``mixed_batches``: batches that also hold rows of the pass before.
    """

    rank: int
    pass_: int
    pass_from: str
    complete: bool
    ended_by: str
    first_batch: int
    batches: int
    visits: int
    unique: int
    missed: RowSet
    repeated: int
    partial_batches: int = 0
    shard_end_partials: int = 0
    mixed_batches: int = 0
    batches_span_shards: bool = False
    untrained_batches: int = 0


@dataclass(frozen=True, slots=True)
class Hole:
    """Consecutive batches that were yielded and never trained. ``tail``: nothing of that loader was trained after."""

    rank: int
    first_batch: int
    batches: int
    rows: RowSet
    n_rows: int
    pass_: int
    after_epoch: int
    after_fit: int
    tail: bool


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Everything counted for one split.

    ``counts``: "trained" or "yielded". ``epochs_from``: trainer, steps_per_epoch, passes, or unknown.
    ``run_visits``: consumed visits per sample id over the run (length n_ids). ``batch_sizes``: rows per yield ->
    how many yields. ``batch_size``: declared, else what at least 90 % of the yields share, else None. ``found``: rows
    per way of knowing them. ``outside_rows``: raw (shard, row) pairs that are not of the data, the first few.
    """

    split: str
    run: RunInfo
    info: SplitInfo
    shards: Shards | None
    counts: str
    epochs_from: str
    epochs: tuple[EpochCount, ...]
    passes: tuple[PassCount, ...]
    holes: tuple[Hole, ...]
    steps: int
    visits: int
    yields: int
    run_visits: npt.NDArray[np.uint32]
    rows_repeated: RowSet
    batch_sizes: Mapping[int, int]
    batch_size: int | None
    found: Mapping[str, int]
    unidentified: int
    unidentified_batches: int
    outside: int
    outside_rows: tuple[tuple[int, int], ...] = ()
    writers: tuple[WriterCount, ...] = ()
    """Everything each writer recorded; ``attempts`` the same by attempt, with what of it counts."""
    attempts: tuple[AttemptCount, ...] = ()
    resumes: tuple[Resume, ...] = ()
    """The restores that the final weights came through."""
    superseded: frozenset[str] = frozenset()
    """Names of writers whose end does not matter: the run went on from a checkpoint before it."""
    restart_problems: tuple[str, ...] = ()
    """Why it is unknown what a restart went on from, one sentence each."""
    exhausted: bool = False
    evaluation: bool = False
    fingerprints: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    """How the data given to the report differs from the recorded one, one sentence each."""
    restarts_unplaced: int = 0
    """Attempts that began without saying which checkpoint they restored."""
    loader_errors: tuple[str, ...] = ()
    """What the loader raised, if it did."""
    remarks: Remarks = NO_REMARKS
    orders: tuple[Order, ...] = ()
    """The order of each pass of each writer, as ``passes`` has them."""
    planned: bool = False
    epochs_asked: int | None = None
    """How many epochs the last fit was to have, or were declared; None if nobody said."""
    shares: tuple[EpochShare, ...] = ()
    """Who saw what of each epoch, one entry for each attempt that took part in it."""
    others: tuple[SharedRows, ...] = ()
    """For a split that evaluates: what it shares with each one that trains."""

    @property
    def divided(self) -> bool:
        """Whether several ranks or processes took steps side by side: what a pass of one leaves out, others visit."""
        writers = Counter(w.attempt for w in self.writers if w.steps)
        return self.run.ranks > 1 or any(n > 1 for n in writers.values())

    @property
    def complete_epochs(self) -> tuple[EpochCount, ...]:
        return tuple(e for e in self.epochs if e.complete)

    @property
    def epochs_done(self) -> int:
        """How many epochs of ``epochs_asked`` are complete: by the trainer's own numbers, which a resumed run goes on
        with, else all complete ones."""
        complete = self.complete_epochs
        fit = max((e.fit for e in complete), default=-1)
        numbers = [e.number for e in complete if e.fit == fit]
        told = [number + 1 for number in numbers if number is not None]
        return max(told) if told else len(complete)

    @property
    def all_steps(self) -> int:
        """Steps of all writers, those included that a restore threw away."""
        return sum(w.steps for w in self.writers)

    @property
    def all_visits(self) -> int:
        """Visits of all writers, those included that a restore threw away."""
        return sum(w.visits for w in self.writers)

    @property
    def knows_nothing(self) -> bool:
        """Whether rows were visited in the run and not one of them is known."""
        return self.unidentified > 0 and self.visits == 0

    @property
    def expected(self) -> RowSet:
        return RowSet.empty() if self.shards is None else self.shards.expected

    @property
    def never_seen(self) -> RowSet:
        """Expected ids without a visit in the whole run."""
        if self.shards is None:
            return RowSet.empty()
        return RowSet.of_mask(self.run_visits == 0) & self.shards.expected


@dataclass(frozen=True, slots=True)
class Counts:
    """A run log counted: one entry per split, in the order the splits were declared."""

    run: RunInfo
    splits: tuple[SplitCounts, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
