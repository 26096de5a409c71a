"""What was read lately, told by the arrays that remember their rows when rows are taken out of a file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from coverage_audit.identity.origins import ORIGINS, Origins
from coverage_audit.identity.shadows import Shadow, Span, Windows
from coverage_audit.locks import new_lock

KEPT = 1 << 16
"""Reads that are remembered; older ones are forgotten."""
IDS_KEPT = 1 << 22
"""Ids that may be remembered one by one, 8 bytes each; the last read is, however many it has."""


class Read(NamedTuple):
    """``rows`` were read by a thread (its ident); ``serial`` counts the reads of the process from 1."""

    serial: int
    thread: int
    rows: Shadow


class Reads:
    """The last reads of the process, and whether anybody wants to know.

    Telling costs a microsecond and keeps no array alive but the ids that were read.
    """

    def __init__(self) -> None:
        self._lock = new_lock(self)
        # Plain tuples of plain numbers, where that will do: the garbage collector does not look at those.
        self._kept: deque[tuple[int, int, Shadow | int]] = deque()
        self._ids_kept = 0
        self._serial = 0
        self._quiet = threading.local()
        self.listeners = 0
        """How many ways of identifying want to know of reads; with none, nothing is kept."""

    def tell(self, rows: Shadow) -> None:
        """Some code of the user's has just read these rows from a file."""
        if not self.listeners or self.is_ours:
            return
        with self._lock:
            self._serial += 1
            self._kept.append((self._serial, threading.get_ident(), rows))
            self._ids_kept += _n_ids(rows)
            self._forget()

    def tell_row(self, row_id: int) -> None:
        """As :meth:`tell`, of one row."""
        if not self.listeners or self.is_ours:
            return
        with self._lock:
            self._serial += 1
            self._kept.append((self._serial, threading.get_ident(), row_id))
            self._forget()

    def _forget(self) -> None:
        kept = self._kept
        while len(kept) > KEPT or (self._ids_kept > IDS_KEPT and len(kept) > 1):
            self._ids_kept -= _n_ids(kept.popleft()[2])

    @property
    def serial(self) -> int:
        """The number of the last read told."""
        return self._serial

    def since(self, serial: int) -> list[Read]:
        """The reads after number ``serial``, oldest first, as far as they are still remembered."""
        with self._lock:
            newest = self._serial - serial
            if newest <= 0:
                return []
            kept = self._kept
            told = [kept[i] for i in range(max(len(kept) - newest, 0), len(kept))]
        return [Read(n, thread, Span(rows, 1, 1) if isinstance(rows, int) else rows) for n, thread, rows in told]

    @property
    def is_ours(self) -> bool:
        """Whether this thread reads for coverage-audit itself: then arrays are not tracked and reads not told."""
        return getattr(self._quiet, "depth", 0) > 0

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Mark what this thread reads as our own reading."""
        self._quiet.depth = getattr(self._quiet, "depth", 0) + 1
        try:
            yield
        finally:
            self._quiet.depth -= 1


def _n_ids(rows: Shadow | int) -> int:
    if isinstance(rows, int | Span):
        return 0
    return len(rows.firsts) if isinstance(rows, Windows) else rows.size


def gather(reads: Sequence[Read], origins: Origins = ORIGINS) -> Iterator[Shadow]:
    """The rows of these reads: those read one by one together, file by file, then the others, latest first.

    A loader that takes rows singly tells of hundreds of reads a batch, and each look into a file costs as much as many
    rows of it.
    """
    singles = [read.rows.first for read in reads if isinstance(read.rows, Span) and read.rows.length == 1]
    if singles:
        ids = np.array(singles, np.int64)
        at = np.searchsorted(origins.bases, ids, side="right")
        for file in np.unique(at).tolist():
            yield ids[at == file]
    for read in reversed(reads):
        if not (isinstance(read.rows, Span) and read.rows.length == 1):
            yield read.rows


READS = Reads()
"""The reads of this process."""
