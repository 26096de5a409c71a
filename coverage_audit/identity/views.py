"""Rows of views into memory-mapped .npy files, by pointer arithmetic. Exact, or unknown.

A view keeps, through ``.base``, the memory map it was cut from. Its address and strides then say which rows of the
file it shows, provided each step along its first axis is a whole number of rows and nothing else leaves a row.
Copies (fancy indexing, arithmetic, ``np.stack``) have no such base and stay unknown.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from coverage_audit.identity.batches import NO_IDS, Answer, Run, Unknown, count_rows, leaves
from coverage_audit.model.event import BatchRows, Found

Array = npt.NDArray[Any]


class _Place(NamedTuple):
    """Where the rows of a mapped file lie in memory, and whose they are."""

    row0: int  # address of row 0 (which need not be mapped)
    row_bytes: int
    rows: int
    shard: int  # declared shard, else -1
    partner_of: int  # shard whose rows these must agree with, else -1
    private: bool  # copy-on-write: what is in memory may not be what is in the file
    path: str
    data_offset: int  # of row 0 in the file


class _Rows(NamedTuple):
    """Rows ``first, first + step, ...``, ``length`` of them."""

    first: int
    step: int
    length: int


class Views:
    """Knows the files of a dataset and, per memory map in use, where its rows are.

    ``paths``: the file of each shard, None where there is none. ``partners``: per shard the files of the same rows.
    Files are the same file by their real path. Memory: one small entry per memory map that is alive.
    """

    found = Found.VIEW
    alters = False

    def __init__(self, paths: Sequence[Path | None], partners: Sequence[Sequence[Path]], rows: Sequence[int]) -> None:
        self._shard_of = {os.path.realpath(path): at for at, path in enumerate(paths) if path is not None}
        self._partner_of = {os.path.realpath(path): at for at, group in enumerate(partners) for path in group}
        self._rows_of = tuple(rows)
        self._places: dict[int, tuple[weakref.ref[Array], _Place | None]] = {}

    def identify(self, batch: Any) -> tuple[Any, Answer]:
        """The batch as it is, and the rows its views agree on."""
        said: tuple[_Place, _Rows] | None = None  # by the first view of a declared shard
        others: list[tuple[_Place, _Rows]] = []
        loose = False
        for leaf in _arrays(batch):
            if leaf.base is None:
                continue
            place = self._place(leaf)
            if place is None:
                continue
            rows = rows_shown(leaf, place.row0, place.row_bytes, place.rows)
            if rows is None:
                loose = loose or place.shard >= 0
                continue
            declared = place.shard >= 0 or place.partner_of >= 0
            if place.private and declared:
                doubt = _doubt(leaf, place)
                if doubt:
                    return batch, Unknown(rows.length, doubt, f"the first such file is {place.path}")
            if said is None and place.shard >= 0:
                said = place, rows
            else:
                others.append((place, rows))
        if said is None:
            return batch, Unknown(count_rows(batch), _NO_ROWS if loose else _NO_VIEW)
        for other in others:
            fault = self._disagreement(*said, *other)
            if fault is not None:
                return batch, Unknown(said[1].length, "x and y disagree", fault)
        return batch, _answer(said[0].shard, said[1])

    def _disagreement(self, place: _Place, rows: _Rows, other: _Place, theirs: _Rows) -> str | None:
        """What two views of one batch say differently about its rows, where both have a say."""
        shard = other.shard if other.shard >= 0 else other.partner_of
        if shard >= 0 and shard != place.shard:
            return f"{place.path} and {other.path} are not of the same shard"
        has_say = shard >= 0 or other.rows == self._rows_of[place.shard]
        if has_say and theirs != rows:
            return f"rows {_text(rows)} of {place.path}, rows {_text(theirs)} of {other.path}"
        return None

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
        layout = _layout(path, root)
        if layout is None:
            return None
        data_offset, row_bytes, rows = layout
        address = int(root.__array_interface__["data"][0])
        shard = self._shard_of.get(path, -1)
        if shard >= 0 and rows != self._rows_of[shard]:
            return None  # not the file the dataset was made from
        return _Place(
            row0=address - root.offset + data_offset,
            row_bytes=row_bytes,
            rows=rows,
            shard=shard,
            partner_of=self._partner_of.get(path, -1),
            private=root.mode == "c",
            path=path,
            data_offset=data_offset,
        )


def rows_shown(view: Array, row0: int, row_bytes: int, rows: int) -> _Rows | None:
    """Which rows each step along the first axis of ``view`` shows; None unless each shows exactly one.

    ``row0``: address of row 0; ``row_bytes``: distance of rows; ``rows``: how many there are.
    """
    if view.ndim == 0:
        return None
    count = view.shape[0]
    if view.size == 0:
        return _Rows(0, 1, 0) if count == 0 else None
    low = int(view.__array_interface__["data"][0]) - row0
    if view.flags.c_contiguous and view.nbytes == count * row_bytes:
        first, within = divmod(low, row_bytes)
        exact = within == 0 and first >= 0 and first + count <= rows
        return _Rows(first, 1, count) if exact else None
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
    return _Rows(first, step, count)


def _arrays(batch: Any) -> Iterable[Array]:
    """The arrays of a batch; a flat tuple, as most are, without a detour."""
    if type(batch) is tuple and all(isinstance(part, np.ndarray) for part in batch):
        return batch
    return (leaf for leaf in leaves(batch) if isinstance(leaf, np.ndarray))


def _answer(shard: int, rows: _Rows) -> Answer:
    first, step, count = rows
    if count == 0:
        return NO_IDS
    if step == 1:
        return Run(shard, first, count)
    return BatchRows(count, shard=np.full(count, shard, np.int32), row=first + step * np.arange(count, dtype=np.int64))


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


def _text(rows: _Rows) -> str:
    last = rows.first + (rows.length - 1) * rows.step
    return f"{rows.first} to {last}"


_NO_VIEW = "no array of the batch is a view of a declared shard"
_NO_ROWS = "the views of declared shards in the batch do not show whole rows one by one"
_WRITTEN = "a copy-on-write memory map was written to"
_GONE = "the file of a copy-on-write memory map is gone or cut short"
