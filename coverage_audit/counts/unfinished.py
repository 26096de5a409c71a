"""What is being counted and not finished yet: an epoch, and each stream's pass, span and hole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from coverage_audit.counts.order import Order
from coverage_audit.counts.ordering import Ordering
from coverage_audit.counts.tables import PassCount, Position, Span
from coverage_audit.counts.tracker import Piece, Tracker
from coverage_audit.model.rows import Ints, Mask

NONE: Ints = np.empty(0, np.int64)


@dataclass(slots=True)
class OpenPass:
    """A pass being counted. ``start``: its first among the stream's yields, ``start_consumed``: among the consumed."""

    number: int
    start: int
    start_consumed: int
    first_batch: int
    batches: int = 0
    holes: int = 0
    visits: int = 0
    surplus: list[Ints] = field(default_factory=list)
    sizes: Counter[int] = field(default_factory=Counter)
    remainders: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(size, shard) of batches that lie in one shard."""
    spanning: bool = False
    tail: Ints = field(default_factory=lambda: NONE)
    """What batches that hold rows of the pass before hold of this one; ``mixed`` of them, one per loader worker."""
    mixed: int = 0
    padding: int = 0

    def add_tail(self, ids: Ints) -> None:
        self.tail = np.concatenate((self.tail, ids))
        self.mixed += 1

    def add_batches(self, piece: Piece, declared: int | None) -> None:
        """Count the batches that begin in a piece of it; ``declared``: rows per batch, if anybody said so."""
        which = slice(piece.begins, piece.ends)
        self.batches += piece.batches
        sizes, shard = piece.block.size[which], piece.block.one_shard[which]
        if not len(sizes):
            return
        self.spanning = self.spanning or bool((shard < 0).any())
        usual = int(sizes[0])
        if (sizes == usual).all():
            self.sizes[usual] += len(sizes)
        else:
            self.sizes.update(sizes.tolist())
        for index in np.flatnonzero((sizes != (declared or max(self.sizes))) & (shard >= 0)):
            self.remainders[int(sizes[index]), int(shard[index])] += 1


@dataclass(slots=True)
class OpenSpan:
    start: int
    pass_: int
    batches: int = 0
    surplus: int = 0
    ids: list[Ints] = field(default_factory=list)


@dataclass(slots=True)
class OpenHole:
    first_batch: int
    batches: int
    ids: list[Ints]
    n_rows: int
    pass_: int
    after_epoch: int
    after_fit: int


@dataclass(slots=True)
class Lane:
    """One stream's state: its tracker, its pass, its part of the epoch.

    ``seen``: per row whether it visited it; empty where there is no other stream. ``steps_by_attempt`` and
    ``visits_by_attempt`` part ``steps`` and ``visits``: a stream may go through several attempts.
    """

    rank: int
    tracker: Tracker
    ordering: Ordering
    pass_: OpenPass | None = None
    span: OpenSpan | None = None
    hole: OpenHole | None = None
    steps: int = 0
    batches: int = 0
    visits: int = 0
    passes: list[PassCount] = field(default_factory=list)
    closed: list[OpenPass] = field(default_factory=list)
    seen: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    orders: list[Order] = field(default_factory=list)
    steps_by_attempt: Counter[int] = field(default_factory=Counter)
    visits_by_attempt: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class OpenEpoch:
    epoch: int
    fit: int
    start: int
    starts_at: Position | None
    visits: int = 0
    steps: Counter[int] = field(default_factory=Counter)
    surplus: list[Ints] = field(default_factory=list)
    replayed: list[Ints] = field(default_factory=list)
    replayed_batches: int = 0
    unidentified: int = 0
    outside: int = 0
    spans: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What the pass an epoch ended in had still to visit: batches so far, and unvisited rows per shard."""

    batches: int
    per_shard: Ints
    sizes: Counter[int]
    remainders: Counter[tuple[int, int]]
