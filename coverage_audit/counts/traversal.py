"""One pass over a dataset in fixed order, as arithmetic: which batch holds which rows.

The *place* of an expected row is its number among the expected rows, 0..N-1 in the order of the shards. A loader fills
its batches from one *part* at a time: from all of the data, or from each shard on its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coverage_audit.model.rows import Ints, RowSet
from coverage_audit.model.shards import Shards


@dataclass(frozen=True)
class Traversal:
    """``per_shard``: every shard ends in its own partial batch; ``drop_remainder``: partial batches are left out."""

    shards: Shards
    batch_size: int
    drop_remainder: bool = False
    per_shard: bool = False

    @cached_property
    def lengths(self) -> Ints:
        """int64: rows of each part."""
        if self.per_shard:
            return self.shards.expected_per_shard
        return np.array([self.shards.rows], np.int64)

    @cached_property
    def _first_place(self) -> Ints:
        return _starts(self.lengths)

    @cached_property
    def _first_batch(self) -> Ints:
        whole, rest = np.divmod(self.lengths, self.batch_size)
        return _starts(whole if self.drop_remainder else whole + (rest > 0))

    @property
    def n_batches(self) -> int:
        """How many batches one pass takes: the sum over its parts of ceil(n / B), floor if remainders are dropped."""
        return int(self._first_batch[-1])

    @cached_property
    def dropped(self) -> RowSet:
        """Places that no pass yields."""
        if not self.drop_remainder:
            return RowSet.empty()
        ends = self._first_place[1:]
        return RowSet.of_ranges(zip((ends - self.lengths % self.batch_size).tolist(), ends.tolist(), strict=True))

    @cached_property
    def _dropped_before(self) -> Ints:
        return _starts(self.dropped.stops - self.dropped.starts)

    def place_at(self, batch: int) -> int:
        """The place of a batch's first row; N for the end of the pass."""
        if batch >= self.n_batches:
            return self.shards.rows
        part = int(np.searchsorted(self._first_batch, batch, side="right")) - 1
        return int(self._first_place[part]) + (batch - int(self._first_batch[part])) * self.batch_size

    def count(self, start: int, stop: int) -> int:
        """How many rows with places in ``[start, stop)`` are yielded; neither end lies inside a dropped stretch."""
        below = np.searchsorted(self.dropped.starts, (start, stop), side="left")
        return stop - start - int(self._dropped_before[below[1]] - self._dropped_before[below[0]])

    def ids(self, start: int, stop: int) -> RowSet:
        """Sample ids of the yielded rows with places in ``[start, stop)``."""
        return self.to_ids(RowSet.span(start, stop) - self.dropped)

    def to_ids(self, places: RowSet) -> RowSet:
        """Places -> sample ids."""
        selected = self.shards.selected
        if selected is None or not places:
            return places
        edges = _starts(selected.stops - selected.starts)
        cuts = np.unique(np.concatenate((edges, places.starts, places.stops)))
        starts, lengths = cuts[:-1], np.diff(cuts)
        inside = places.contains(starts)
        starts, lengths = starts[inside], lengths[inside]
        at = np.searchsorted(edges, starts, side="right") - 1
        first = selected.starts[at] + starts - edges[at]
        return RowSet(first, first + lengths)

    @cached_property
    def _partials(self) -> tuple[Ints, Ints]:
        """(number, rows) of the batches that are smaller than the batch size."""
        rest = self.lengths % self.batch_size
        which = np.flatnonzero(rest) if not self.drop_remainder else np.empty(0, np.int64)
        return self._first_batch[1:][which] - 1, rest[which]

    def sizes(self, start: int, stop: int) -> Counter[int]:
        """Rows per batch -> how many of the batches ``[start, stop)``."""
        number, rows = self._partials
        values, times = np.unique(rows[(number >= start) & (number < stop)], return_counts=True)
        sizes = Counter({int(v): int(n) for v, n in zip(values, times, strict=True)})
        sizes[self.batch_size] = stop - start - sum(sizes.values())
        return +sizes

    def shard_end_partials(self, start: int, stop: int) -> int:
        """How many of these batches lie in one shard and hold its own n mod B rows."""
        number, rows = self._partials
        if not self.per_shard and len(rows):
            # One partial batch at the end of the data: it is the last shard's own where the batches fit that shard.
            own = [int(n) for n in self.shards.expected_per_shard if n > 0]
            if own[-1] < rows[0] or own[-1] % self.batch_size != rows[0]:
                return 0
        return int(np.count_nonzero((number >= start) & (number < stop)))

    def spans_shards(self, start: int, stop: int) -> bool:
        """Whether one of these batches holds rows of several shards."""
        if self.per_shard:
            return False
        edges = _starts(self.shards.expected_per_shard)[1:-1]
        inside = (edges > self.place_at(start)) & (edges < min(stop * self.batch_size, self.shards.rows))
        return bool((edges[inside] % self.batch_size != 0).any())


def _starts(lengths: Ints) -> Ints:
    """int64, len + 1: where each of these lengths begins when laid end to end, then their sum."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
