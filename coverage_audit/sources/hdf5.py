"""HDF5 files: the rows of their datasets. Needs the extra ``hdf5``.

Files are read through Python's own file objects, so that HDF5 neither locks them nor minds that the program under
recording has them open in another mode.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from coverage_audit.errors import DatasetError
from coverage_audit.sources.members import Members, missing_extra
from coverage_audit.sources.npy import Header

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


def top_arrays(file: Any, h5py: ModuleType) -> list[str]:
    """The datasets at the top level of an open file, with at least one axis."""
    return [key for key, header in _top(h5py, file).items() if header.rows is not None]


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
