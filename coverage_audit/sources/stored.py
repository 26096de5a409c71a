"""One array in one file, read by rows: what all formats have in common.

Files are watched while they are read: one that is not as it was when it was opened is refused, so that nothing is
concluded from the wrong bytes. That also keeps clear of memory maps of files that were cut short, where reading would
end the process.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import Ints

Array = npt.NDArray[Any]

AT_ONCE = 1 << 24
"""Bytes up to which rows that lie apart are read in one piece with what is between them."""

_quiet = threading.local()


@contextmanager
def own_reading() -> Iterator[None]:
    """Mark what this thread reads as coverage-audit's own reading."""
    _quiet.depth = getattr(_quiet, "depth", 0) + 1
    try:
        yield
    finally:
        _quiet.depth -= 1


def is_own_reading() -> bool:
    """Whether this thread reads for coverage-audit itself: then nothing is tracked or told."""
    return getattr(_quiet, "depth", 0) > 0


class StoredArray(ABC):
    """``rows`` rows of ``row_shape`` and ``dtype`` (as stored: byte order included) in the file ``name``.

    ``watched``: the file whose size and date say whether the array is still the same.
    """

    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    rows: int

    def __init__(self, name: str, watched: str) -> None:
        self.name = name
        self._watched = watched
        self._state = self._look()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Size of the file when it was opened (of its metadata for a store)."""
        return self._state[0]

    @property
    def held_bytes(self) -> int:
        """Memory that is held for it beside the pages of the file."""
        return 0

    def read(self, rows: Ints) -> Array:
        """(n, *row_shape): the rows of these numbers, in this order; a number may come twice.

        Raises ``IndexError`` for numbers outside 0..rows-1 and :class:`DatasetError` (changed-file, unreadable-rows).
        """
        wanted = np.asarray(rows, np.int64)
        if not wanted.size:
            return np.empty((0, *self.row_shape), self.dtype)
        low, high = int(wanted.min()), int(wanted.max())
        if low < 0 or high >= self.rows:
            raise IndexError(f"{self.name} has rows 0 to {self.rows - 1:,}, not {low if low < 0 else high:,}")
        with self._reading():
            return self._take(wanted)

    def blocks(self, rows_per_block: int) -> Iterator[tuple[int, Array]]:
        """(number of the first row, (n, *row_shape)) over all rows in order. Raises as :meth:`read`."""
        for start in range(0, self.rows, rows_per_block):
            with self._reading():
                block = self._piece(start, min(start + rows_per_block, self.rows))
            yield start, block

    @abstractmethod
    def _piece(self, start: int, stop: int) -> Array:
        """Rows start to stop - 1."""

    def _take(self, rows: Ints) -> Array:
        """``rows``, at least one."""
        low, stop = int(rows.min()), int(rows.max()) + 1
        if (stop - low) * self.row_bytes <= AT_ONCE:
            return self._piece(low, stop).take(rows - low, axis=0)
        distinct, places = np.unique(rows, return_inverse=True)
        breaks = np.flatnonzero(np.diff(distinct) > 1) + 1
        runs = [self._piece(int(run[0]), int(run[-1]) + 1) for run in np.split(distinct, breaks)]
        return np.concatenate(runs).take(places, axis=0)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Read as ourselves, from the file that was opened; whatever goes wrong is a :class:`DatasetError`."""
        self._require_same()
        try:
            with own_reading():
                yield
        except DatasetError:
            raise
        except Exception as error:
            raise unreadable(self.name, f"{type(error).__name__}: {error}") from error
        self._require_same()

    def _require_same(self) -> None:
        if self._look() != self._state:
            raise DatasetError(
                f"{self.name} has changed since it was first read: its rows cannot be compared any more",
                slug="changed-file",
            )

    def _look(self) -> tuple[int, int, int]:
        try:
            facts = os.stat(self._watched)
        except OSError as error:
            raise DatasetError(
                f"{self.name} is gone ({error.strerror}): its rows cannot be compared any more", slug="changed-file"
            ) from error
        return facts.st_size, facts.st_mtime_ns, facts.st_ino


def unreadable(name: str, why: str) -> DatasetError:
    """The error for rows that cannot be read back from their file."""
    return DatasetError(
        f"the rows of {name} cannot be read back ({why}): they stay unknown where only their values would tell",
        slug="unreadable-rows",
    )
