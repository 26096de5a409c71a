"""What was read lately, told by the arrays that remember their rows when rows are taken out of a file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from coverage_audit.identity.shadows import Shadow

KEPT = 1 << 16
"""Reads that are remembered; older ones are forgotten."""


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
        self._lock = threading.Lock()
        self._kept: deque[Read] = deque(maxlen=KEPT)
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
            self._kept.append(Read(self._serial, threading.get_ident(), rows))

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
            return [kept[i] for i in range(max(len(kept) - newest, 0), len(kept))]

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


READS = Reads()
"""The reads of this process."""
