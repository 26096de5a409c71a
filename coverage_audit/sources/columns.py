"""Arrays that grow at their end: in memory, or as .npy files that are mapped once they are whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

Array = npt.NDArray[Any]


class Column(Protocol):
    """One 1-D array in the making."""

    def append(self, values: Array) -> None:
        """Add values at the end."""

    def whole(self) -> Array:
        """The array; nothing can be added any more."""


MakeColumn = Callable[[str, Any], Column]
"""(name, dtype) -> an empty column."""


class MemoryColumn:
    """A column in memory."""

    def __init__(self, _name: str, dtype: Any) -> None:
        self._parts: list[Array] = []
        self._dtype = np.dtype(dtype)

    def append(self, values: Array) -> None:
        self._parts.append(values.astype(self._dtype, copy=False))

    def whole(self) -> Array:
        return np.concatenate([np.empty(0, self._dtype), *self._parts])


class FileColumn:
    """A column in a .npy file. Raises ``OSError`` where it cannot be written."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._n = 0
        self._file = open(path, "wb")  # noqa: SIM115 - open until it is whole
        self._head = self._write_header()

    def _write_header(self) -> int:
        facts = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._n,)}
        npy_format.write_array_header_1_0(self._file, facts)
        return self._file.tell()

    def append(self, values: Array) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._n += len(values)

    def whole(self) -> Array:
        self._file.seek(0)
        grown = self._write_header()  # numpy leaves room for the first axis to grow, so that it has the same length
        self._file.close()
        if grown != self._head:
            raise OSError(f"the header of {self._path} grew from {self._head} to {grown} bytes")
        return map_column(self._path)

    def close(self) -> None:
        """Leave it as it is; nothing happens to one that is whole."""
        self._file.close()


class FileColumns:
    """Makes columns in a folder, and closes what is left open of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[FileColumn] = []

    def __call__(self, name: str, dtype: Any) -> FileColumn:
        column = FileColumn(self._folder / f"{name}.npy", dtype)
        self._made.append(column)
        return column

    def close(self) -> None:
        for column in self._made:
            column.close()


def map_column(path: Path) -> Array:
    """A .npy file as a plain array over a read-only map. Raises ``OSError`` or ``ValueError`` if it is none."""
    # Opened through numpy's own function, not numpy.load: that one may be hooked to track the user's arrays.
    with open(path, "rb") as stream:
        if npy_format.read_magic(stream) != (1, 0):
            raise ValueError(f"{path} is not of .npy format 1.0")
        shape, _, dtype = npy_format.read_array_header_1_0(stream)
        if dtype.hasobject or len(shape) != 1:
            raise ValueError(f"{path} is no column: {shape} {dtype}")
        n = shape[0]
        if n == 0:
            return np.empty(0, dtype)
        whole = np.memmap(stream, np.uint8, "r", offset=stream.tell(), shape=(n * dtype.itemsize,))
    return np.ndarray((n,), dtype, buffer=whole)
