"""The rows of a .npz archive: counted from its members' headers, which is as far as compressed members are inflated."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.locks import new_lock
from coverage_audit.model.rows import Ints
from coverage_audit.sources.members import Members
from coverage_audit.sources.npy import Header, read_header, read_layout
from coverage_audit.sources.stored import Array, StoredArray, unreadable


def read_archive_header(stream: IO[bytes], name: str, member: str | None) -> Header:
    """The rows of one member, or of all of them if they are of one length (0-d members are not data).

    Raises :class:`DatasetError`: damaged-file, no-member, uneven-members.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            headers = {info.filename.removesuffix(".npy"): _member(archive, info, name) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: encrypted, or unknown
        raise DatasetError(
            f"{name} is not a whole .npz archive ({error}): write it again with numpy.savez, or leave it out",
            slug="damaged-file",
        ) from error
    members = Members(name, headers)
    return members.together() if member is None else members.pick(member)


def archive_arrays(path: str) -> list[str]:
    """The members of an archive that have at least one axis. Raises as :func:`read_archive_header`."""
    with open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        headers = {info.filename.removesuffix(".npy"): _member(archive, info, path) for info in archive.infolist()}
    return [key for key, header in headers.items() if header.rows is not None]


class ArchiveArray(StoredArray):
    """A member of an archive, taken into memory when its rows are first wanted. Raises :class:`DatasetError`."""

    def __init__(self, path: str, member: str) -> None:
        super().__init__(f"{path}::{member}", path)
        self._path = path
        self._array: Array | None = None
        self._lock = new_lock(self)
        with self._reading(), self._open(member) as stream:
            layout = read_layout(stream, self.name, None)
        if layout.dtype.hasobject or not layout.shape:
            raise unreadable(self.name, "it holds Python objects" if layout.shape else "a 0-d array has no rows")
        self._member = member
        self.dtype, self.row_shape, self.rows = layout.dtype, layout.shape[1:], layout.shape[0]

    @property
    def held_bytes(self) -> int:
        return 0 if self._array is None else self._array.nbytes

    def _piece(self, start: int, stop: int) -> Array:
        return self._whole()[start:stop]

    def _take(self, rows: Ints) -> Array:
        return self._whole().take(rows, axis=0)

    def _whole(self) -> Array:
        with self._lock:
            if self._array is None:
                with self._open(self._member) as stream:
                    layout = read_layout(stream, self.name, None)
                    flat = np.frombuffer(stream.read(), layout.dtype)
                order: Literal["C", "F"] = "F" if layout.fortran else "C"
                self._array = np.ascontiguousarray(flat.reshape(layout.shape, order=order))
            return self._array

    @contextmanager
    def _open(self, member: str) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self._path) as archive:
            names = archive.namelist()
            with archive.open(member + ".npy" if member + ".npy" in names else member) as stream:
                yield stream


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(info) as stream:
        return read_header(stream, f"{name}::{info.filename.removesuffix('.npy')}", info.file_size)
