"""The places that one process of a loader visits in one pass, in order: sums that later give the order statistics.

All sums are integers, so cutting the visits anywhere gives the same ones. A few ns a visit, in stretches that stay in
the cache; nothing grows with the number of visits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints, Mask

Words = npt.NDArray[np.uint64]
ShardNumbers = npt.NDArray[np.int32]

STRETCH = 1 << 15
BINS = 1024
"""Into how many equal parts of the data visits are sorted, to know where a walk goes at all."""
FINE_BITS = 22
"""Places are told apart this finely in sums of products, so that no stretch of them overflows 64 bits."""
SPARSE, EVERY = 1 << 16, 8
"""From this visit of a walk on, one of so many is sorted into a bin, and stands for all."""
MAX_SHARDS = 1 << 16
LONG = 16
"""Mean length from which on stretches of consecutive places, or of one shard, are summed up run by run."""
WORD = (1 << 64) - 1
_ZERO: Ints = np.zeros(1, np.int64)


class Scratch:
    """Buffers and tables that all walks of one count share. Not for two threads at once."""

    __slots__ = (
        "differences", "flags", "moments_before", "positions", "products", "weights", "weights_before", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.positions: Ints = np.arange(STRETCH, dtype=np.int64)
        self.differences: Ints = np.empty(STRETCH, np.int64)
        self.flags = np.empty(STRETCH, np.bool_)
        self.products: Ints = np.empty(STRETCH, np.int64)
        self.words: Words = np.empty(STRETCH, np.uint64)
        # Any odd random words do; they must be the same in every process that compares hashes.
        self.weights: Words = np.random.Generator(np.random.PCG64(20)).integers(0, 1 << 63, STRETCH, np.uint64) * 2 + 1
        # Of the weights before each position: their sum, and the sum of weight * position.
        self.weights_before: Words = np.zeros(STRETCH + 1, np.uint64)
        np.cumsum(self.weights, out=self.weights_before[1:])
        self.moments_before: Words = np.zeros(STRETCH + 1, np.uint64)
        np.cumsum(self.weights * self.positions.view(np.uint64), out=self.moments_before[1:])


class Walk:
    """Sums over the visits so far; see :class:`~coverage_audit.counts.order.Order` for what they mean.

    ``n_places``: how many places there are. ``n_shards``: 1 where switching between shards is of no interest.
    """

    __slots__ = (
        "bins", "consecutive", "descents", "displacement", "fine_shift", "first", "gaps", "highest", "in_shard", "last",
        "last_shard", "lead", "lowest", "n", "order_hash", "position_place", "scratch", "shift", "squares", "switches",
        "total",
    )  # fmt: skip

    def __init__(self, n_places: int, n_shards: int, scratch: Scratch) -> None:
        self.scratch = scratch
        bits = max(n_places - 1, 1).bit_length()
        self.shift = max(bits - BINS.bit_length() + 1, 0)
        self.fine_shift = max(bits - FINE_BITS, 0)
        self.n = 0
        self.first = self.last = -1
        self.last_shard = -1
        self.lowest, self.highest = n_places, -1
        self.lead = -n_places
        self.consecutive = self.descents = self.gaps = self.displacement = self.switches = 0
        self.total = self.squares = self.position_place = 0
        self.order_hash = 0
        self.bins: Ints = np.zeros((max(n_places - 1, 0) >> self.shift) + 1, np.int64)
        self.in_shard: Ints | None = np.zeros(n_shards, np.int64) if 1 < n_shards <= MAX_SHARDS else None

    def add(self, places: Ints, shards: ShardNumbers | None) -> None:
        """Visit ``places`` in order; ``shards`` are theirs, None where there is one only."""
        if not len(places):
            return
        if self.n == 0:
            self.first = int(places[0])
        at = 0
        while at < len(places):
            # Stretches end where the weights of the hash do.
            stop = min(at + STRETCH - self.n % STRETCH, len(places))
            self._sort(places[at:stop])
            self._add(places[at:stop])
            at = stop
        if self.in_shard is not None and shards is not None:
            other = shards[1:] != shards[:-1]
            switches = int(np.count_nonzero(other))
            self.switches += switches + (self.last_shard not in (-1, int(shards[0])))
            if LONG * (switches + 1) <= len(shards):
                starts, lengths = _runs(other)
                np.add.at(self.in_shard, shards[starts], lengths)
            else:
                self.in_shard += np.bincount(shards, minlength=len(self.in_shard))
            self.last_shard = int(shards[-1])

    def _sort(self, places: Ints) -> None:
        """Into bins. All visits of a stretch are counted in one way: stretches begin anew at multiples of SPARSE."""
        sparse = self.n >= SPARSE
        some = places[-self.n % EVERY :: EVERY] if sparse else places
        self.bins += np.bincount(some >> self.shift, minlength=len(self.bins)) * (EVERY if sparse else 1)

    def _add(self, places: Ints) -> None:
        scratch, m = self.scratch, len(places)
        if self.n:
            self._step(int(places[0]) - self.last)
        delta, flags = scratch.differences[: m - 1], scratch.flags[: m - 1]
        np.subtract(places[1:], places[:-1], out=delta)
        breaks = int(np.count_nonzero(np.not_equal(delta, 1, out=flags)))
        self.consecutive += m - 1 - breaks
        if LONG * (breaks + 1) <= m and not self.fine_shift:
            self._add_runs(places, delta, flags)
        else:
            self._add_singly(places, delta, flags)
        self.n += m
        self.last = int(places[-1])

    def _add_singly(self, places: Ints, delta: Ints, flags: Mask) -> None:
        """``delta`` is what lies between ``places``; both it and ``flags`` are overwritten."""
        scratch, m, begin = self.scratch, len(places), self.n % STRETCH
        self.descents += int(np.count_nonzero(np.less(delta, 0, out=flags)))
        self.gaps += int(np.abs(delta, out=delta).sum())
        ahead = scratch.differences[:m]
        positions = scratch.positions[begin : begin + m]
        base = self.n - begin
        np.subtract(places, positions, out=ahead)
        if base:
            ahead -= base
        self.lead = max(self.lead, int(ahead.max()))
        self.displacement += int(np.abs(ahead, out=ahead).sum())
        # A product and its sum are faster than a dot product of integers, and one of floats may start threads.
        product, words = scratch.products[:m], scratch.words[:m]
        fine = np.right_shift(places, self.fine_shift, out=ahead) if self.fine_shift else places
        total = int(fine.sum())
        self.total += total
        self.squares += int(np.multiply(fine, fine, out=product).sum())
        self.position_place += int(np.multiply(fine, positions, out=product).sum()) + base * total
        np.multiply(places.view(np.uint64), scratch.weights[begin : begin + m], out=words)
        self.order_hash = (self.order_hash + factor(self.n // STRETCH) * int(words.sum())) & WORD
        self.lowest = min(self.lowest, int(places.min()))
        self.highest = max(self.highest, int(places.max()))

    def _add_runs(self, places: Ints, delta: Ints, breaks: Mask) -> None:
        """The same for runs of consecutive places, parted by ``breaks``: sums of arithmetic series."""
        scratch, begin = self.scratch, self.n % STRETCH
        starts, lengths = _runs(breaks)
        first, position = places[starts], starts + begin
        jumps = delta[starts[1:] - 1]
        self.descents += int(np.count_nonzero(jumps < 0))
        self.gaps += len(delta) - len(jumps) + int(np.abs(jumps).sum())
        ahead = first - position
        # What is added from the first to the last place of a run, and the squares of that.
        rise, squares = lengths * (lengths - 1) // 2, (lengths - 1) * lengths * (2 * lengths - 1) // 6
        total = int((lengths * first + rise).sum())
        self.total += total
        self.squares += int((lengths * first * first + 2 * first * rise + squares).sum())
        self.position_place += int((lengths * first * position + (first + position) * rise + squares).sum())
        ends = position + lengths
        weights = scratch.weights_before[ends] - scratch.weights_before[position]
        moments = scratch.moments_before[ends] - scratch.moments_before[position]
        words = int((ahead.view(np.uint64) * weights + moments).sum())
        self.order_hash = (self.order_hash + factor(self.n // STRETCH) * words) & WORD
        base = self.n - begin
        self.position_place += base * total
        ahead -= base
        self.lead = max(self.lead, int(ahead.max()))
        self.displacement += int((np.abs(ahead) * lengths).sum())
        self.lowest = min(self.lowest, int(first.min()))
        self.highest = max(self.highest, int((first + lengths).max()) - 1)

    def _step(self, delta: int) -> None:
        self.consecutive += delta == 1
        self.descents += delta < 0
        self.gaps += abs(delta)


def _runs(breaks: Mask) -> tuple[Ints, Ints]:
    """(starts, lengths) of the runs among ``len(breaks) + 1`` values that are parted where a break is."""
    edges = np.flatnonzero(breaks) + 1
    starts = np.concatenate((_ZERO, edges))
    return starts, np.diff(starts, append=len(breaks) + 1)


def factor(k: int) -> int:
    """An odd word for each k = 0, 1, ... (the finaliser of splitmix64, Steele et al. 2014)."""
    z = (k * 0x9E3779B97F4A7C15 + 0x1234567) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return (z ^ (z >> 31)) | 1
