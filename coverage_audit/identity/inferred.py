"""Rows told by what was read just before the batch, believed only if the batch's values follow from those rows.

A loader that standardises or casts leaves no bytes to recognise. But the rows it has read since its last batch are
known, and if one affine map (for all values, or one per column) takes just these rows, in this order, to the batch,
then the batch is made of them. Anything else (buffers, flips, crops, producers in other threads) stays unknown.
"""

from __future__ import annotations

import threading
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
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def tell(self, leaf: npt.NDArray[Any], lately: Ints) -> Answer | None:
        """``lately``, if these rows and no others explain ``leaf``."""
        if leaf.ndim == 0 or len(lately) != leaf.shape[0] or not leaf.size or leaf.dtype.kind not in "fiub":
            return None
        rows = read_rows(self._declared, self._contents, lately)
        return lately if rows is not None and follows(leaf, rows) and not counts_up(rows, lately) else None


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
    x = x - x.mean(axis=0)
    y = y - y.mean(axis=0)
    spread_x, spread_y = np.abs(x).max(axis=0), np.abs(y).max(axis=0)
    moves_x, moves_y = spread_x > 0, spread_y > 0
    if not moves_x.any() or np.any(moves_x != moves_y):
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
