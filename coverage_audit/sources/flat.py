"""The rows of .npy files and of flat files of numbers: a memory map where the layout is known."""

from __future__ import annotations

import mmap
from typing import Literal

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import Ints
from coverage_audit.sources.npy import Layout, read_layout
from coverage_audit.sources.raw import row_type
from coverage_audit.sources.stored import Array, StoredArray, unreadable


class FlatArray(StoredArray):
    """A file whose bytes from ``layout.offset`` on are the array.

    Raises :class:`DatasetError`: unreadable-rows, changed-file, and those of the readers of headers.
    """

    def __init__(self, path: str, member: str) -> None:
        super().__init__(path, path)
        try:
            with open(path, "rb") as stream:
                size = self._state[0]
                layout = row_type(member, path).layout(path, size) if member else read_layout(stream, path, size)
                self._array = _map(path, stream.fileno(), layout)
        except OSError as error:
            raise unreadable(path, str(error.strerror)) from error
        self.layout = layout
        self.dtype, self.row_shape, self.rows = layout.dtype, layout.shape[1:], layout.shape[0]

    def _piece(self, start: int, stop: int) -> Array:
        if self.layout.fortran or not self._array.size:
            return np.ascontiguousarray(self._array[start:stop])
        out = np.empty((stop - start, *self.row_shape), self.dtype)
        with open(self.name, "rb") as stream:  # not out of the map: long reads are no place for a file to be cut short
            stream.seek(self.layout.offset + start * self.row_bytes)
            if stream.readinto(out.reshape(-1).view(np.uint8).data) != out.nbytes:
                raise DatasetError(f"{self.name} was cut short while it was read", slug="changed-file")
        return out

    def _take(self, rows: Ints) -> Array:
        return self._array.take(rows, axis=0)


def _map(path: str, file: int, layout: Layout) -> Array:
    if not layout.shape:
        raise unreadable(path, "a 0-d array has no rows")
    if layout.dtype.hasobject:
        raise unreadable(path, "it holds Python objects")
    if not np.prod(layout.shape, dtype=np.int64) * layout.dtype.itemsize:
        return np.empty(layout.shape, layout.dtype)
    mapped = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    order: Literal["C", "F"] = "F" if layout.fortran else "C"
    return np.ndarray(layout.shape, layout.dtype, buffer=mapped, offset=layout.offset, order=order)
