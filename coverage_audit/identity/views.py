"""Rows of views into memory-mapped .npy files, by pointer arithmetic. Exact, or unknown.

A view keeps, through ``.base``, the memory map it was cut from. Its address and strides then say which rows of the
file it shows, provided each step along its first axis is a whole number of rows and nothing else leaves a row.
Copies (fancy indexing, arithmetic, ``np.stack``) have no such base and stay unknown.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from coverage_audit.identity.declared import OWN, Declared, Home
from coverage_audit.identity.origins import ORIGINS

Array = npt.NDArray[Any]


class _Place(NamedTuple):
    """Where the rows of a mapped file lie in memory, and whose they are."""

    row0: int  # address of row 0 (which need not be mapped)
    row_bytes: int
    rows: int
    home: Home | None  # None: of no declared file
    private: bool  # copy-on-write: what is in memory may not be what is in the file
    writable: bool  # the file itself can be changed through the map
    path: str
    data_offset: int  # of row 0 in the file


class Rows(NamedTuple):
    """Rows ``first, first + step, ...``, ``length`` of them."""

    first: int
    step: int
    length: int


class Seen(NamedTuple):
    """A view shows ``rows`` of the file at ``path``, which has ``total`` rows. ``home``: None if it is not declared."""

    home: Home | None
    rows: Rows
    total: int
    path: str


class Doubt(NamedTuple):
    """Why a view of a declared file does not say its rows. ``shows``: how many rows it shows, -1 if no whole rows."""

    reason: str
    shows: int
    detail: str


class Views:
    """Knows, per memory map in use, where its rows are. Memory: one small entry per memory map that is alive."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._places: dict[int, tuple[weakref.ref[Array], _Place | None]] = {}

    def tell(self, leaf: Array) -> Seen | Doubt | None:
        """The rows that ``leaf`` shows; None if it is no view of rows, or of files nobody declared."""
        if leaf.base is None:
            return None
        place = self._place(leaf)
        if place is None:
            return None
        if place.writable and place.home is not None and not ORIGINS.unchanged(place.path):
            return Doubt(CHANGED, -1, place.path)
        rows = rows_shown(leaf, place.row0, place.row_bytes, place.rows)
        if rows is None:
            return None if place.home is None or place.home.role != OWN else Doubt(NO_ROWS, -1, "")
        if place.private and place.home is not None:
            doubt = _doubt(leaf, place)
            if doubt:
                return Doubt(doubt, rows.length, f"the first such file is {place.path}")
        return Seen(place.home, rows, place.rows, place.path)

    def _place(self, view: Array) -> _Place | None:
        """Where the memory map under ``view`` has its rows; None if there is none, or its layout is not by rows."""
        root = view
        base: Any = root.base
        while isinstance(base, np.ndarray):
            root = base
            base = root.base
        known = self._places.get(id(root))
        if known is not None and known[0]() is root:
            return known[1]
        if not isinstance(root, np.memmap) or not isinstance(base, mmap.mmap) or root.filename is None:
            return None
        place = self._look_up(root)
        key = id(root)
        places = self._places

        def forget(dead: weakref.ref[Array]) -> None:
            if key in places and places[key][0] is dead:
                del places[key]

        places[key] = (weakref.ref(root, forget), place)
        return place

    def _look_up(self, root: np.memmap[Any, Any]) -> _Place | None:
        path = os.path.realpath(str(root.filename))
        home = self._declared.home_of(path)
        if home is not None and not ORIGINS.unchanged(path):
            return _Place(0, 1, 0, home, False, True, path, 0)
        layout = _layout(path, root)
        if layout is None:
            return None
        data_offset, row_bytes, rows = layout
        address = int(root.__array_interface__["data"][0])
        if home is not None and home.role == OWN and rows != self._declared.rows[home.shard]:
            return None  # not the file the dataset was made from
        return _Place(
            row0=address - root.offset + data_offset,
            row_bytes=row_bytes,
            rows=rows,
            home=home,
            private=root.mode == "c",
            writable=root.mode in ("r+", "w+"),
            path=path,
            data_offset=data_offset,
        )


def rows_shown(view: Array, row0: int, row_bytes: int, rows: int) -> Rows | None:
    """Which rows each step along the first axis of ``view`` shows; None unless each shows exactly one.

    ``row0``: address of row 0; ``row_bytes``: distance of rows; ``rows``: how many there are.
    """
    if view.ndim == 0:
        return None
    count = view.shape[0]
    if view.size == 0:
        return Rows(0, 1, 0) if count == 0 else None
    low = int(view.__array_interface__["data"][0]) - row0
    if view.flags.c_contiguous and view.nbytes == count * row_bytes:
        first, within = divmod(low, row_bytes)
        exact = within == 0 and first >= 0 and first + count <= rows
        return Rows(first, 1, count) if exact else None
    stride = view.strides[0]
    if stride % row_bytes or (count == 1 and stride == 0):
        return None
    # Bytes of the first step: everything must lie in one row, then so it does in all others.
    high = low + view.itemsize
    for length, inner in zip(view.shape[1:], view.strides[1:], strict=True):
        if inner < 0:
            low += (length - 1) * inner
        else:
            high += (length - 1) * inner
    first = low // row_bytes
    if (high - 1) // row_bytes != first:
        return None
    step = stride // row_bytes if count > 1 else 1
    last = first + (count - 1) * step
    if min(first, last) < 0 or max(first, last) >= rows:
        return None
    return Rows(first, step, count)


def _layout(path: str, root: np.memmap[Any, Any]) -> tuple[int, int, int] | None:
    """(offset of row 0 in the file, bytes per row, rows) of a .npy file; of any other file, as it is mapped."""
    try:
        with open(path, "rb") as stream:
            if stream.read(6) != npy_format.MAGIC_PREFIX:
                return _by_rows(root.offset, root.shape, root.dtype, fortran=not root.flags.c_contiguous)
            stream.seek(0)
            version = npy_format.read_magic(stream)
            reader = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
            if reader is None:
                return None  # version 3.0, structured types with names beyond latin-1: numpy has no public reader
            shape, fortran, dtype = reader(stream, max_header_size=1 << 20)
            return _by_rows(stream.tell(), shape, dtype, fortran=fortran)
    except (OSError, ValueError):  # gone, or not a .npy file after all: then nothing is known about it
        return None


def _by_rows(
    offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, fortran: bool
) -> tuple[int, int, int] | None:
    if not shape or (fortran and len(shape) > 1):
        return None
    row_bytes = dtype.itemsize
    for length in shape[1:]:
        row_bytes *= length
    return (offset, row_bytes, shape[0]) if row_bytes else None


def _doubt(view: Array, place: _Place) -> str:
    """Why a view of a copy-on-write map may not show what its file holds; empty if it does."""
    offset = place.data_offset + int(view.__array_interface__["data"][0]) - place.row0
    try:
        whole = np.memmap(place.path, np.uint8, "r")
        in_file: Array = np.ndarray(view.shape, view.dtype, buffer=whole, offset=offset, strides=view.strides)
    except (OSError, ValueError, TypeError):  # deleted, emptied, cut short
        return _GONE
    return "" if view.tobytes() == in_file.tobytes() else _WRITTEN


NOT_KNOWN = "no array of the batch is known to hold rows of the declared data"
NO_ROWS = "the views of declared shards in the batch do not show whole rows one by one"
CHANGED = "a declared file was changed while the run went on"
_WRITTEN = "a copy-on-write memory map was written to"
_GONE = "the file of a copy-on-write memory map is gone or cut short"
