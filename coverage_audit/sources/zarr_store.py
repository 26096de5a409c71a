"""zarr stores in folders: their arrays are counted from the metadata alone; only reading rows needs zarr itself.

Formats: https://zarr-specs.readthedocs.io/en/latest/v3/core/ (``zarr.json``), .../v2/v2.0.html (``.zarray``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.sources.members import Members, missing_extra
from coverage_audit.sources.npy import Header
from coverage_audit.sources.stored import Array, StoredArray, unreadable

SUFFIX = ".zarr"
V3 = "zarr.json"
V2_ARRAY, V2_GROUP = ".zarray", ".zgroup"


def is_store(folder: str) -> bool:
    """Whether a folder is a zarr array or group."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in (V3, V2_ARRAY, V2_GROUP))


def metadata_of(folder: str) -> str | None:
    """The file that describes the array or group in this folder; None if it is neither."""
    paths = (os.path.join(folder, name) for name in (V3, V2_ARRAY, V2_GROUP))
    return next((path for path in paths if os.path.isfile(path)), None)


def read_store_header(folder: str, member: str | None) -> Header:
    """The rows of the array, or of one array of the group, or of all of them if they are of one length.

    Raises :class:`DatasetError`: damaged-file, no-member, uneven-members.
    """
    if member is not None:
        inside = _array(os.path.join(folder, *member.split("/")))
        return Members(folder, {member: inside} if inside is not None else _arrays(folder)).pick(member)
    own = _array(folder)
    return own if own is not None else Members(folder, _arrays(folder)).together()


def store_arrays(folder: str) -> list[str]:
    """The arrays directly inside a group that have at least one axis; [""] for an array."""
    own = _array(folder)
    if own is not None:
        return [""]
    return [name for name, header in _arrays(folder).items() if header.rows is not None]


class ZarrArray(StoredArray):
    """An array of a store, read by zarr. Only its metadata is watched. Raises :class:`DatasetError`."""

    def __init__(self, folder: str, member: str) -> None:
        name = f"{folder}::{member}" if member else folder
        where = os.path.join(folder, *member.split("/")) if member else folder
        super().__init__(name, metadata_of(where) or where)
        try:
            import zarr
        except ImportError as error:
            raise missing_extra(name, "zarr", "zarr") from error
        with self._reading():
            array = zarr.open_array(where, mode="r")
        if array.dtype.hasobject or not array.shape:
            raise unreadable(name, "it holds values of varying length" if array.shape else "a 0-d array has no rows")
        self._array = array
        self.dtype, self.row_shape, self.rows = np.dtype(array.dtype), tuple(array.shape[1:]), int(array.shape[0])

    def _piece(self, start: int, stop: int) -> Array:
        return np.ascontiguousarray(self._array[start:stop])


def _arrays(folder: str) -> dict[str, Header]:
    if metadata_of(folder) is None:
        raise DatasetError(
            f"{folder} is not a zarr store (no {V3}, {V2_ARRAY} or {V2_GROUP} inside): check the path, or leave it out",
            slug="damaged-file",
        )
    inside = sorted(entry.name for entry in Path(folder).iterdir() if entry.is_dir())
    found = {name: _array(os.path.join(folder, name)) for name in inside}
    return {name: header for name, header in found.items() if header is not None}


def _array(folder: str) -> Header | None:
    """None for a group, and where there is no metadata."""
    described = metadata_of(folder)
    if described is None or described.endswith(V2_GROUP):
        return None
    try:
        facts: dict[str, Any] = json.loads(Path(described).read_text(encoding="utf-8"))
        is_group = described.endswith(V3) and facts["node_type"] != "array"
        kind = "" if is_group else facts["data_type" if described.endswith(V3) else "dtype"]
        shape = () if is_group else tuple(int(n) for n in facts["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{described} is not zarr metadata ({type(error).__name__}: {error}): write the store again, or leave it "
            "out",
            slug="damaged-file",
        ) from error
    return None if is_group else Header(shape[0] if shape else None, f"{shape[1:]} {kind}")
