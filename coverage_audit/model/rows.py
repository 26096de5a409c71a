"""Sets and multisets of sample ids, kept as sorted half-open ranges, or as bits where those take less memory.

Row 0 is a row: every boundary here is an ordinary integer, none is tested for truth.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SCATTERED = 128
"""Ids per range below which a bit for each id takes less memory than the 16 bytes of a range."""

_NONE: Ints = np.empty(0, np.int64)


class RowSet:
    """An immutable set of sample ids as sorted, disjoint, non-adjacent ranges ``[start, stop)``.

    ``starts`` and ``stops`` are int64 arrays of one length. 16 bytes a range, whatever its size; many short ranges are
    kept as one bit for each id instead, and are worked out anew each time they are asked for.
    """

    __slots__ = ("_bits", "_starts", "_stops", "size")

    _starts: Ints
    _stops: Ints
    _bits: npt.NDArray[np.uint8] | None
    """The set, id ``i`` at bit ``i & 7`` of byte ``i >> 3``; None where it is kept as ranges."""
    size: int

    def __init__(self, starts: Ints, stops: Ints) -> None:
        """Take ranges that are already sorted, disjoint and non-adjacent (see :meth:`of_ranges`)."""
        self._starts = starts
        self._stops = stops
        self._bits = None
        self.size = int((stops - starts).sum())

    @classmethod
    def empty(cls) -> RowSet:
        return cls(_NONE, _NONE)

    @classmethod
    def span(cls, start: int, stop: int) -> RowSet:
        """All ids of ``[start, stop)``; nothing if ``stop <= start``."""
        if stop <= start:
            return cls.empty()
        return cls(np.array([start], np.int64), np.array([stop], np.int64))

    @classmethod
    def of_mask(cls, mask: Mask, base: int = 0) -> RowSet:
        """The ids ``base + i`` where ``mask[i]``."""
        if not len(mask):
            return cls.empty()
        if base == 0 and SCATTERED * (np.count_nonzero(mask[1:] > mask[:-1]) + int(mask[0])) > len(mask):
            dense = cls.empty()
            dense._bits = np.packbits(mask, bitorder="little")
            dense.size = int(np.count_nonzero(mask))
            return dense
        starts, stops = _ranges_of(mask)
        return cls(starts + base, stops + base)

    @classmethod
    def of_ids(cls, ids: npt.ArrayLike) -> RowSet:
        """The set of these ids, in any order, repeats allowed."""
        # np.unique() goes by hashes, which takes ten times as long for many ids.
        ordered = np.sort(np.asarray(ids, np.int64), axis=None)
        if not len(ordered):
            return cls.empty()
        unique = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
        breaks = np.flatnonzero(np.diff(unique) != 1) + 1
        starts = unique[np.concatenate(([0], breaks))]
        stops = unique[np.concatenate((breaks - 1, [len(unique) - 1]))] + 1
        return cls(starts, stops)

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int]]) -> RowSet:
        """The union of half-open ranges, in any order, overlaps allowed."""
        pairs = np.array([(a, b) for a, b in ranges if b > a], np.int64).reshape(-1, 2)
        return cls._merged(pairs[:, 0], pairs[:, 1])

    @classmethod
    def union(cls, sets: Sequence[RowSet]) -> RowSet:
        """The union of many sets at once."""
        if len(sets) <= 1:
            return sets[0] if sets else cls.empty()
        if any(s._bits is not None for s in sets):
            return functools.reduce(operator.or_, sets)
        return cls._merged(np.concatenate([s.starts for s in sets]), np.concatenate([s.stops for s in sets]))

    @classmethod
    def _merged(cls, starts: Ints, stops: Ints) -> RowSet:
        if not len(starts):
            return cls.empty()
        order = np.argsort(starts, kind="stable")
        starts = starts[order]
        reach = np.maximum.accumulate(stops[order])
        new = np.concatenate(([True], starts[1:] > reach[:-1]))
        last = np.concatenate((np.flatnonzero(new)[1:] - 1, [len(starts) - 1]))
        return cls(starts[new], reach[last])

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return self.size > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RowSet):
            return NotImplemented
        if self.size != other.size:
            return False
        if self._bits is not None and other._bits is not None and len(self._bits) == len(other._bits):
            return np.array_equal(self._bits, other._bits)
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.stops, other.stops)

    def __hash__(self) -> int:
        return hash((self.starts.tobytes(), self.stops.tobytes()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{a}-{b}" for a, b in self.ranges(6))
        more = ", ..." if self.n_ranges > 6 else ""
        return f"RowSet({self.size}: {shown}{more})"

    @property
    def _n_bits(self) -> int:
        return 0 if self._bits is None else 8 * len(self._bits)

    def _ranges(self) -> tuple[Ints, Ints]:
        return (self._starts, self._stops) if self._bits is None else _ranges_of(self.mask(self._n_bits))

    @property
    def starts(self) -> Ints:
        return self._ranges()[0]

    @property
    def stops(self) -> Ints:
        return self._ranges()[1]

    @property
    def n_ranges(self) -> int:
        return len(self.starts)

    def ranges(self, limit: int | None = None) -> Iterator[tuple[int, int]]:
        """The first ``limit`` ranges as ``(start, stop)``, all of them by default."""
        starts, stops = self._ranges()
        for a, b in zip(starts[:limit], stops[:limit], strict=True):
            yield int(a), int(b)

    def ids(self) -> Ints:
        """Every id, ascending: 8 bytes a row."""
        if not self.size:
            return _NONE
        if self._bits is not None:
            return np.flatnonzero(self.mask(self._n_bits)).astype(np.int64, copy=False)
        lengths = self.stops - self.starts
        before = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        return np.arange(self.size, dtype=np.int64) + np.repeat(self.starts - before, lengths)

    def mask(self, n: int) -> Mask:
        """``out[i]`` is True where ``i`` is in the set, for ids 0..n-1."""
        if self._bits is not None:
            out = np.zeros(n, np.bool_)
            known = min(n, self._n_bits)
            out[:known] = np.unpackbits(self._bits, count=known, bitorder="little")
            return out
        edges = np.zeros(n + 1, np.int8)
        inside = self & RowSet.span(0, n)
        edges[inside.starts] += 1
        edges[inside.stops] -= 1
        return np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_)

    def contains(self, ids: npt.ArrayLike) -> Mask:
        """Which of ``ids`` are in the set, elementwise."""
        values = np.asarray(ids, np.int64)
        if not self.size:
            return np.zeros(values.shape, np.bool_)
        if self._bits is not None:
            known = (values >= 0) & (values < self._n_bits)
            safe = np.where(known, values, 0)
            inside: Mask = known & ((self._bits[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1).astype(np.bool_)
            return inside
        at = np.searchsorted(self.starts, values, side="right") - 1
        return (at >= 0) & (values < self.stops[np.maximum(at, 0)])

    def counts_between(self, edges: Ints) -> Ints:
        """How many ids lie in each ``[edges[i], edges[i + 1])``, int64, for two ascending ``edges`` or more."""
        if self._bits is not None and len(edges) << 6 < self._n_bits:  # else a look at each range is no more work
            inside = self.mask(self._n_bits)
            return np.array([np.count_nonzero(inside[a:b]) for a, b in itertools.pairwise(edges.tolist())], np.int64)
        starts, stops = self._ranges()
        if not len(starts):
            return np.zeros(len(edges) - 1, np.int64)
        lengths = np.concatenate(([0], np.cumsum(stops - starts)))
        at = np.searchsorted(starts, edges, side="right") - 1
        safe = np.maximum(at, 0)
        below = np.where(at >= 0, lengths[safe] + np.minimum(edges, stops[safe]) - starts[safe], 0)
        return np.diff(below).astype(np.int64)

    def __and__(self, other: RowSet) -> RowSet:
        if not self.size or not other.size:
            return RowSet.empty()
        return self._combine(other, lambda a, b: a & b)

    def __or__(self, other: RowSet) -> RowSet:
        if not self.size:
            return other
        if not other.size:
            return self
        return self._combine(other, lambda a, b: a | b)

    def __sub__(self, other: RowSet) -> RowSet:
        if not self.size or not other.size:
            return self
        return self._combine(other, lambda a, b: a & ~b)

    def _combine(self, other: RowSet, keep: Any) -> RowSet:
        dense = max(self._n_bits, other._n_bits)
        end = max(s._n_bits if s._bits is not None else int(s._stops[-1]) for s in (self, other))
        if dense and end <= 2 * dense:
            return RowSet.of_mask(keep(self.mask(end), other.mask(end)))
        points = np.concatenate((self.starts, self.stops, other.starts, other.stops))
        n, m = len(self.starts), len(other.starts)
        ours = np.zeros(len(points), np.int8)
        theirs = np.zeros(len(points), np.int8)
        ours[:n], ours[n : 2 * n] = 1, -1
        theirs[2 * n : 2 * n + m], theirs[2 * n + m :] = 1, -1
        order = np.argsort(points, kind="stable")
        points = points[order]
        inside = keep(np.cumsum(ours[order]) > 0, np.cumsum(theirs[order]) > 0)
        last = np.concatenate((points[1:] != points[:-1], [True]))
        points, inside = points[last], inside[last]
        change = np.flatnonzero(np.concatenate(([inside[0]], inside[1:] != inside[:-1])))
        return RowSet(points[change[::2]], points[change[1::2]])


def _ranges_of(mask: Mask) -> tuple[Ints, Ints]:
    """(starts, stops) of the runs of True; at least one value."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    bounds = np.concatenate(([0], edges, [len(mask)])).astype(np.int64, copy=False)
    first = 0 if mask[0] else 1
    return bounds[first:-1:2], bounds[first + 1 :: 2]


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """Rows visited more than once and by how much: ``extra[i]`` surplus visits of ``rows.ids()[i]``."""

    rows: RowSet
    extra: npt.NDArray[np.uint32]

    @classmethod
    def none(cls) -> Repeats:
        return cls(RowSet.empty(), np.empty(0, np.uint32))

    @classmethod
    def of_counts(cls, counts: npt.NDArray[Any]) -> Repeats:
        """From visits per sample id (index = id)."""
        mask = counts > 1
        return cls(RowSet.of_mask(mask), counts[mask].astype(np.uint32) - np.uint32(1))

    @property
    def total(self) -> int:
        """Surplus visits: visits minus unique rows."""
        return int(self.extra.sum(dtype=np.int64))

    def among(self, rows: RowSet) -> int:
        """Surplus visits of the rows that are in ``rows``."""
        if not self.rows or not rows:
            return 0
        return int(self.extra[rows.contains(self.rows.ids())].sum(dtype=np.int64))
