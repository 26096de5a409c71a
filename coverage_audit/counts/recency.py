"""When was this row visited before? One array over the rows answers every window: an epoch, a pass, the run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints, Mask

NARROW = np.iinfo(np.int32).max
"""Visits up to which an index fits into 4 bytes."""

FEW = 16
"""Rows per visit up to which looking at all rows is cheaper than at the visited ones."""

STRETCH = 1 << 14
"""Visits whose rows are still in the cache when they are looked up again."""

Indices = npt.NDArray[np.int32] | npt.NDArray[np.int64]


class Recency:
    """The index of each row's latest visit in one sequence of visits, -1 before the first.

    4 bytes a row, 8 from visit 2^31 on.

    A visit repeats a row inside a window that began at index ``s`` exactly if its previous visit is at ``s`` or later;
    a row is unvisited in that window exactly if its latest visit is before ``s``. So neither epochs nor passes need
    counters of their own, and none can wrap.
    """

    __slots__ = ("index", "latest")

    def __init__(self, n_ids: int) -> None:
        self.latest: Indices = np.full(n_ids, -1, np.int32)
        self.index = 0

    def copy(self) -> Recency:
        twin = Recency(0)
        twin.latest = self.latest.copy()
        twin.index = self.index
        return twin

    def visit(self, ids: Ints) -> Indices:
        """Visit ``ids`` (each in 0..n_ids-1) in order; returns the index of each one's previous visit, or -1."""
        n, start = len(ids), self.index
        if len(self.latest) > FEW * n > FEW * STRETCH:
            return np.concatenate([self.visit(ids[low : low + STRETCH]) for low in range(0, n, STRETCH)])
        at = self._next(n)
        latest = self.latest
        if not n:
            return at
        # "clip" spares take() a buffer; an id that is out of range is found by the assignment.
        before = latest.take(ids, mode="clip")
        latest[ids] = at
        # Nothing came twice if as many rows were visited as there were visits. Few rows are looked through at once.
        if len(latest) <= FEW * n and np.count_nonzero(latest >= start) == n:
            return before
        now = latest.take(ids, mode="clip")
        early = now != at
        if early.any():
            _repair(before, ids, at, now, early)
        return before

    def revisit(self, ids: Ints) -> None:
        """``visit`` for ids whose previous visits are known already."""
        at = self._next(len(ids))
        self.latest[ids] = at

    def undo(self, ids: Ints, before: Indices) -> None:
        """Take back the latest ``visit``s, given the very ids and what it returned for them."""
        # Of several visits to one row the first one's predecessor is what stood there: written last, it wins.
        self.latest[ids[::-1]] = before[::-1]
        self.index -= len(ids)

    def seen_since(self, start: int) -> Mask:
        """Per row: was it visited at index ``start`` or later?"""
        return self.latest >= start

    def _next(self, n: int) -> Indices:
        """The indices of the next ``n`` visits, which happen now."""
        if self.index + n > NARROW and self.latest.dtype == np.int32:
            self.latest = self.latest.astype(np.int64)
        start, stop = self.index, self.index + n
        self.index = stop
        if self.latest.dtype == np.int32:
            return np.arange(start, stop, dtype=np.int32)
        return np.arange(start, stop, dtype=np.int64)


def _repair(before: Indices, ids: Ints, at: Indices, now: Indices, early: Mask) -> None:
    """Rows visited twice in one call: chain their visits to each other.

    ``early`` marks visits that are not their row's last; ``now`` tells where that last one is.
    """
    involved = early.copy()
    involved[now[early] - at[0]] = True
    where: npt.NDArray[np.intp] = np.flatnonzero(involved)
    order = where[np.argsort(ids[where], kind="stable")]
    same = ids[order[1:]] == ids[order[:-1]]
    before[order[1:][same]] = at[order[:-1][same]]
