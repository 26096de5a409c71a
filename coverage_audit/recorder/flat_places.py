"""Which rows of a file a stretch of its bytes is: for memory maps and reads that begin somewhere in a file."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from coverage_audit.sources.files import SUFFIXES
from coverage_audit.sources.npy import Layout, read_layout
from coverage_audit.sources.raw import RowType, row_type

KEPT = 1 << 12
"""Files whose headers are remembered."""


class Place(NamedTuple):
    """Rows from ``first`` on, of an array of ``rows`` rows; ``member`` as in Dataset."""

    member: str
    first: int
    rows: int


class Piece(NamedTuple):
    """An array of ``shape`` and ``dtype`` whose bytes are those of the file from ``offset`` on."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    fortran: bool = False


class FlatPlaces:
    """Knows the layouts that were declared for flat files; .npy files say theirs themselves."""

    def __init__(self) -> None:
        self.seen_types: dict[str, set[RowType]] = {}
        """What undeclared flat files were read as, by their paths."""
        self._declared: dict[str, dict[str, RowType]] = {}
        self._seen: dict[str, tuple[tuple[int, int, int], Layout | None]] = {}

    def declare(self, path: str | os.PathLike[str], member: str) -> None:
        """Rows of this flat file are of type ``member``. Raises ``DatasetError`` if that is no type."""
        self._declared.setdefault(os.path.realpath(path), {})[member] = row_type(member, os.fspath(path))

    def locate(self, path: str, piece: Piece) -> Place | None:
        """Which rows ``piece`` is; None unless it is a whole number of rows, one after the other.

        A flat file of which nothing was declared is taken for an array of what the piece is made of, from its
        beginning on. Raises ``OSError`` and ``DatasetError`` if the file cannot be asked.
        """
        if not piece.shape:
            return None
        size, layout = self._look(path)
        if layout is not None:
            first = None if layout.dtype.hasobject or not layout.shape else _first_row(piece, layout)
            return None if first is None else Place("", first, layout.shape[0])
        declared = self._declared.get(path) or self._declared.get(os.path.realpath(path))
        if declared is None and os.path.splitext(path)[1].lower() in SUFFIXES:
            return None  # a container, not one array
        if declared is None:
            kind = RowType(piece.dtype, piece.shape[1:], 0)
            self.seen_types.setdefault(path, set()).add(kind)
            kinds = {"": kind}
        else:
            kinds = declared
        for member, kind in kinds.items():
            if kind.row_bytes and size >= kind.offset and (size - kind.offset) % kind.row_bytes == 0:
                layout = kind.layout(path, size)
                first = _first_row(piece, layout)
                if first is not None:
                    return Place(member, first, layout.shape[0])
        return None

    def _look(self, path: str) -> tuple[int, Layout | None]:
        """Bytes of a file, and what its header says if it is a .npy file; programs map one file again and again."""
        facts = os.stat(path)
        state = facts.st_size, facts.st_mtime_ns, facts.st_ino
        seen = self._seen.get(path)
        if seen is None or seen[0] != state:
            with open(path, "rb") as stream:
                is_npy = stream.read(len(npy_format.MAGIC_PREFIX)) == npy_format.MAGIC_PREFIX
                stream.seek(0)
                layout = read_layout(stream, path, None) if is_npy else None
            if len(self._seen) >= KEPT:
                self._seen.clear()
            seen = self._seen[path] = state, layout
        return facts.st_size, seen[1]


def _first_row(piece: Piece, layout: Layout) -> int | None:
    """The row of ``layout`` that ``piece`` begins with; None unless it is whole rows of it."""
    if piece.shape == layout.shape and piece.offset == layout.offset and piece.dtype.itemsize == layout.dtype.itemsize:
        same_order = piece.fortran == layout.fortran or len(piece.shape) == 1
        return 0 if same_order else None
    if len(layout.shape) > 1 and (piece.fortran or layout.fortran):
        return None
    row_bytes = math.prod(layout.shape[1:]) * layout.dtype.itemsize
    if not row_bytes or math.prod(piece.shape[1:]) * piece.dtype.itemsize != row_bytes:
        return None
    first, within = divmod(piece.offset - layout.offset, row_bytes)
    return first if within == 0 and first >= 0 and first + piece.shape[0] <= layout.shape[0] else None
