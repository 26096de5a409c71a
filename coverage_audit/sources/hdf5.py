"""HDF5 files: the rows of their datasets. Needs the extra ``hdf5``.

Files are read through Python's own file objects, so that HDF5 neither locks them nor minds that the program under
recording has them open in another mode.
"""

from __future__ import annotations

import os
import weakref
from typing import IO, TYPE_CHECKING, Any

from coverage_audit.errors import DatasetError
from coverage_audit.sources.members import Members, missing_extra
from coverage_audit.sources.npy import Header
from coverage_audit.sources.stored import Array, StoredArray, unreadable

if TYPE_CHECKING:
    from types import ModuleType

SUFFIXES = (".h5", ".hdf5")


def read_hdf5_header(stream: IO[bytes], name: str, member: str | None) -> Header:
    """The rows of one dataset, or of all at the top level if they are of one length; no data is read.

    Raises :class:`DatasetError`: damaged-file, no-member, uneven-members, missing-extra.
    """
    h5py = import_h5py(name)
    try:
        with h5py.File(stream, "r") as file:
            if member is not None:
                found = file.get(member)
                named = {} if not isinstance(found, h5py.Dataset) else {member: _header(found)}
                return Members(name, named or _top(h5py, file)).pick(member)
            return Members(name, _top(h5py, file)).together()
    except OSError as error:
        raise DatasetError(
            f"{name} is not a whole HDF5 file ({error}): write it again, or leave it out", slug="damaged-file"
        ) from error


def top_arrays(path: str) -> list[str]:
    """The datasets at the top level that have at least one axis. Raises ``OSError`` and :class:`DatasetError`."""
    h5py = import_h5py(path)
    with open(path, "rb") as stream, h5py.File(stream, "r") as file:
        return [key for key, header in _top(h5py, file).items() if header.rows is not None]


class Hdf5Array(StoredArray):
    """A dataset of an HDF5 file. Raises :class:`DatasetError`."""

    def __init__(self, path: str, member: str) -> None:
        super().__init__(f"{path}::{member}", path)
        self._path, self._member = path, member
        self._h5py = import_h5py(path)
        self._opened: tuple[int, Any] | None = None
        with self._reading():
            dataset = self._dataset()
            why = _why_not(dataset)
            if why:
                raise unreadable(self.name, why)
            self.dtype, shape = dataset.dtype, tuple(map(int, dataset.shape))
        self.row_shape, self.rows = shape[1:], shape[0]

    def _piece(self, start: int, stop: int) -> Array:
        piece: Array = self._dataset()[start:stop]
        return piece

    def _dataset(self) -> Any:
        """The dataset, opened anew in a forked child: there, the position in the file is shared with the parent."""
        if self._opened is None or self._opened[0] != os.getpid():
            stream = open(self._path, "rb")  # noqa: SIM115 - lives as long as this
            weakref.finalize(self, stream.close)
            file = self._h5py.File(stream, "r")
            weakref.finalize(self, file.close)
            self._opened = (os.getpid(), file[self._member])
        return self._opened[1]


def _why_not(dataset: Any) -> str:
    """Why rows cannot be read from here; empty if they can."""
    if not dataset.shape:
        return "it has no rows"
    if dataset.dtype.hasobject:
        return "it holds values of varying length"
    # Their parts are looked up beside the file, which is not known by its name here.
    return "it is put together from other files" if dataset.is_virtual or dataset.external else ""


def import_h5py(name: str) -> ModuleType:
    """h5py. Raises :class:`DatasetError` (missing-extra) if it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra(name, "h5py", "hdf5") from error
    return h5py  # type: ignore[no-any-return]


def _top(h5py: ModuleType, file: Any) -> dict[str, Header]:
    found = {key: file.get(key) for key in file}  # None for a link to nowhere
    return {key: _header(thing) for key, thing in found.items() if isinstance(thing, h5py.Dataset)}


def _header(dataset: Any) -> Header:
    shape = dataset.shape or ()
    return Header(int(shape[0]) if shape else None, f"{tuple(shape[1:])} {dataset.dtype.str}")
