"""Where rows come from: every file (or array inside a file) that was opened, each with a range of row ids of its own.

One table per process. The id of row ``r`` of an origin is ``base + r``; ids mean nothing outside this process, so
arrays that go to another one take the keys of their origins along.
"""

from __future__ import annotations

import bisect
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coverage_audit.locks import new_lock
from coverage_audit.model.rows import Ints


class Key(NamedTuple):
    """Which array, and which state of its file.

    ``path``: real path. ``member``: an array of an archive, a dataset of an HDF5 file, "" for the file itself.
    ``size``, ``modified_ns``: of the file when it was opened, -1 where it has none.
    """

    path: str
    member: str
    size: int
    modified_ns: int


class Origin(NamedTuple):
    """Rows ``base`` to ``base + rows - 1``. ``replaced``: this is not the file that was first seen at its path."""

    key: Key
    rows: int
    base: int
    replaced: bool


class Origins:
    """The table of one process. Thread-safe; entries are never removed, so ids stay good."""

    def __init__(self) -> None:
        self._lock = new_lock(self)
        self._all: list[Origin] = []
        self._bases: list[int] = []
        self._bases_array: Ints | None = None
        self._known: dict[tuple[Key, int], Origin] = {}
        self._first_seen: dict[str, tuple[int, int]] = {}
        self._next = 0
        self._watched: dict[str, int] = {}
        self._wanted: Callable[[str], bool] | None = None

    def watch(self, path: str) -> None:
        """Arrays read from this file (a real path) are to be tracked."""
        with self._lock:
            self._watched[path] = self._watched.get(path, 0) + 1

    def watch_where(self, wanted: Callable[[str], bool] | None) -> None:
        """Arrays read from any file whose real path ``wanted`` accepts are to be tracked; None: no further ones."""
        self._wanted = wanted

    def wants(self, path: str | os.PathLike[str]) -> bool:
        """Whether arrays read from this file are to be tracked."""
        return self._real_if_wanted(path) is not None

    def _real_if_wanted(self, path: str | os.PathLike[str]) -> str | None:
        if not self._watched and self._wanted is None:
            return None
        if path in self._watched:  # by its real path: looking for links takes longer than anything else here
            return str(path)
        real = os.path.realpath(path)
        return real if real in self._watched or (self._wanted is not None and self._wanted(real)) else None

    def opened(self, path: str | os.PathLike[str], member: str, rows: int) -> Origin | None:
        """The origin of an array that is being opened now, None if nobody wants to know of it.

        Raises ``OSError`` if the file cannot be asked for its size.
        """
        real = self._real_if_wanted(path)
        if real is None:
            return None
        facts = os.stat(real)
        folder = not os.path.isfile(real)  # a zarr store: what its folder is dated says nothing
        key = Key(real, member, -1 if folder else facts.st_size, -1 if folder else facts.st_mtime_ns)
        return self.register(key, rows)

    def expect(self, path: str, size: int, modified_ns: int) -> None:
        """What a file (its real path) was when it was declared, unless it has been seen before that."""
        with self._lock:
            self._first_seen.setdefault(path, (size, modified_ns))

    def unchanged(self, path: str) -> bool:
        """Whether a file is still what it was when it was first seen (or declared); it is seen now, if not before."""
        try:
            facts = os.stat(path)
        except OSError:
            return False
        if not stat.S_ISREG(facts.st_mode):
            return True  # a store: what its folder is dated says nothing
        state = (facts.st_size, facts.st_mtime_ns)
        with self._lock:
            return self._first_seen.setdefault(path, state) == state

    def register(self, key: Key, rows: int) -> Origin:
        """The origin of this key, made if it is new."""
        with self._lock:
            known = self._known.get((key, rows))
            if known is not None:
                return known
            state = (key.size, key.modified_ns)
            replaced = self._first_seen.setdefault(key.path, state) != state
            origin = Origin(key, rows, self._next, replaced)
            self._next += max(rows, 1)
            self._all.append(origin)
            self._bases.append(origin.base)
            self._bases_array = None
            self._known[key, rows] = origin
            return origin

    def all(self) -> tuple[Origin, ...]:
        """Everything opened so far, in order of ``base``."""
        return tuple(self._all)

    def at(self, row_id: int) -> Origin:
        """The origin that has this id. Raises ``LookupError`` for an id that was never given out."""
        if not 0 <= row_id < self._next:
            raise LookupError(row_id)
        return self._all[bisect.bisect_right(self._bases, row_id) - 1]

    @property
    def bases(self) -> Ints:
        """int64: first id of each origin of :meth:`all`, ascending."""
        bases = self._bases_array
        if bases is None:
            with self._lock:
                bases = self._bases_array = np.array(self._bases, np.int64)
        return bases

    def describe(self, ids: Ints) -> tuple[tuple[Key, int, int], ...]:
        """(key, rows, base here) of every origin that ``ids`` touch: what another process needs for :meth:`adopt`."""
        known = ids[ids >= 0]
        if not known.size:
            return ()
        touched = np.unique(np.searchsorted(self.bases, known, side="right") - 1)
        return tuple((o.key, o.rows, o.base) for o in (self._all[i] for i in touched.tolist()))

    def adopt(self, ids: Ints, described: tuple[tuple[Key, int, int], ...]) -> Ints:
        """``ids`` of another process as ids of this one; -1 stays, and so does what was not described."""
        out = np.full(ids.shape, -1, np.int64)
        for key, rows, base in described:
            mine = (ids >= base) & (ids < base + max(rows, 1))
            out[mine] = ids[mine] - base + self.register(key, rows).base
        return out


ORIGINS = Origins()
"""The table of this process."""
