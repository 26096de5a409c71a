"""Rows told by what was read just before the batch, believed only if the batch's values follow from those rows.

A loader that standardises or casts leaves no bytes to recognise. But the rows it has read since its last batch are
known, and if one affine map (for all values, or one per column) takes just these rows, in this order, to the batch,
then the batch is made of them. Anything else (buffers, flips, crops, producers in other threads) stays unknown; so do
rows of data that resemble themselves (waves, growth, trends), where a loader that reads ahead would be believed too.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.agreement import ids_in
from coverage_audit.identity.batches import Answer
from coverage_audit.identity.declared import OWN, Declared
from coverage_audit.identity.reads import READS, Reads
from coverage_audit.identity.verification import Contents, read_rows
from coverage_audit.model.rows import Ints

FEWEST_ROWS = 8
"""Fewer rows fit an affine map by chance."""

MOST_VALUES = 1 << 21
"""Values looked at; of larger rows, evenly spread columns."""

RIVALS = 16
"""Batches before this one whose rows must not explain it as well: so many may a loader have read ahead."""

RIVAL_COLUMNS = 64
"""Columns, and :data:`FEWEST_ROWS` rows, by which rivals are judged: enough to rule a stranger out."""

TOLERANCE = 1e-3
"""Residual, as a part of the spread of a column, up to which a map counts as exact (half floats have 2^-11)."""


class Inferred:
    """Remembers where the last batch left off, per thread."""

    def __init__(self, declared: Declared, contents: Contents, reads: Reads = READS) -> None:
        self._declared = declared
        self._contents = contents
        self._reads = reads
        self._local = threading.local()
        reads.listeners += 1
        self._listens = True

    def close(self) -> None:
        """Reads need not be remembered for this one any more."""
        if self._listens:
            self._listens = False
            self._reads.listeners -= 1

    def next_batch(self) -> int:
        """Begin a batch of this thread: the number of the last read before the batch before it."""
        since: int = getattr(self._local, "serial", 0)
        self._local.serial = self._reads.serial
        return since

    def read_since(self, serial: int) -> Ints:
        """Sample ids of the declared rows this thread has read after that number, in order."""
        me = threading.get_ident()
        told = [self._declared.tell(read.rows) for read in self._reads.since(serial) if read.thread == me]
        parts = [ids_in(self._declared, t.rows) for t in told if t is not None and t.role == OWN]
        lately = np.concatenate(parts) if parts else np.empty(0, np.int64)
        self._past().append(lately)
        return lately

    def tell(self, leaf: npt.NDArray[Any], lately: Ints) -> Answer | None:
        """``lately``, if these rows and no others explain ``leaf``."""
        if leaf.ndim == 0 or len(lately) != leaf.shape[0] or not leaf.size or leaf.dtype.kind not in "fiub":
            return None
        rows = read_rows(self._declared, self._contents, lately)
        if rows is None or not follows(leaf, rows) or counts_up(rows, lately):
            return None
        return None if self._is_rivalled(leaf, lately) else lately

    def _past(self) -> deque[Ints]:
        """What this thread read for each of the last batches."""
        past: deque[Ints] | None = getattr(self._local, "past", None)
        if past is None:
            past = self._local.past = deque(maxlen=RIVALS)
        return past

    def _is_rivalled(self, leaf: npt.NDArray[Any], lately: Ints) -> bool:
        """Whether rows read for an earlier batch, or those before and after these in the data, explain it too."""
        n = len(lately)
        every = np.linspace(0, n - 1, FEWEST_ROWS).astype(np.int64)
        seen = leaf.reshape(n, -1)[every]
        last = int(self._declared.offsets[-1])
        read = np.concatenate((*self._past(), lately))  # by several reads a batch, or several batches a read
        rivals = [read[len(read) - at - n : len(read) - at] for at in range(0, len(read) - n + 1, n)]
        rivals += [near for near in (lately - n, lately + n) if near.min() >= 0 and near.max() < last]
        for rival in rivals:
            if not np.array_equal(rival, lately):
                rows = read_rows(self._declared, self._contents, rival[every])
                if rows is None or resembles(seen, rows.reshape(FEWEST_ROWS, -1)):
                    return True
        return False


def follows(seen: npt.NDArray[Any], stored: npt.NDArray[Any]) -> bool:
    """Whether an affine map takes the rows of ``stored`` to those of ``seen``, one by one, and no other order would.

    (n, ...) each. Every column that varies in one of them must vary in both and lie on one rising line; the rows must
    be distinct in what is looked at. Least squares per column: slope = cov / var. Rising lines tell orders apart: a map
    that takes a set of numbers to the same numbers in another order is no line, or a falling one.
    """
    n = len(seen)
    if n < FEWEST_ROWS or seen.size != stored.size or stored.dtype.kind not in "fiub":
        return False
    every = max(-(-seen.size // MOST_VALUES), 1)
    x = stored.reshape(n, -1)[:, ::every].astype(np.float64)
    y = seen.reshape(n, -1)[:, ::every].astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or len(np.unique(x, axis=0)) < n:
        return False
    return bool((x != x[0]).any()) and _on_lines(x, y)


def resembles(seen: npt.NDArray[Any], stored: npt.NDArray[Any]) -> bool:
    """Whether rows (n, columns) might be taken for others by :func:`follows`, as far as some columns show."""
    if seen.shape != stored.shape or stored.dtype.kind not in "fiub":
        return False
    moving = np.flatnonzero((seen != seen[0]).any(axis=0))
    columns = moving[:: max(-(-len(moving) // RIVAL_COLUMNS), 1)]
    return _on_lines(stored[:, columns].astype(np.float64), seen[:, columns].astype(np.float64))


def _on_lines(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> bool:
    """Whether every column that varies in x or in y does in both, and lies on one rising line."""
    x = x - x.mean(axis=0)
    y = y - y.mean(axis=0)
    spread_x, spread_y = np.abs(x).max(axis=0), np.abs(y).max(axis=0)
    moves_x, moves_y = spread_x > 0, spread_y > 0
    if np.any(moves_x != moves_y):
        return False
    x, y, spread = x[:, moves_x], y[:, moves_x], spread_y[moves_x]
    slope = (x * y).sum(axis=0) / (x * x).sum(axis=0)
    return bool(np.all(slope > 0) and np.all(np.abs(y - slope * x) <= TOLERANCE * spread))


def counts_up(stored: npt.NDArray[Any], ids: Ints) -> bool:
    """Whether rows are only their numbers, on a line: then any stretch of them follows from any other."""
    numbers = np.broadcast_to(ids.astype(np.float64)[:, None], (len(ids), stored.size // len(ids)))
    x = numbers - numbers.mean(axis=0)
    y = stored.reshape(len(ids), -1).astype(np.float64)
    y = y - y.mean(axis=0)
    slope = (x * y).sum(axis=0) / np.maximum((x * x).sum(axis=0), 1)
    return bool(np.all(np.abs(y - slope * x) <= 10 * TOLERANCE * np.abs(y).max(axis=0)))
