"""The bytes of the rows of a dataset, for verifying batches and for finding rows by what they hold."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.locks import new_lock
from coverage_audit.model.rows import Ints
from coverage_audit.sources import hdf5, npz, raw, zarr_store
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.files import WITHOUT_ARRAYS, File
from coverage_audit.sources.flat import FlatArray
from coverage_audit.sources.held import HeldArray
from coverage_audit.sources.row_hashes import Hashes
from coverage_audit.sources.stored import Array, StoredArray, unreadable

KEPT = 64
"""Arrays that are kept open."""

HELD = 1 << 29
"""Bytes of inflated archive members that are kept, beyond the last one used."""


class Contents:
    """Reads rows of any shard, as they were declared. Thread-safe; at most :data:`KEPT` files stay open.

    ``member`` names the array where a shard has several (x and y of one archive); "" is the only one there is. All
    methods raise :class:`DatasetError`: changed-file where the file is gone or is not what the dataset was made from,
    several-arrays, unreadable-rows (objects, values of varying length, shards without a file), missing-extra, and what
    :meth:`Dataset.open` raises for damaged files.
    """

    def __init__(self, dataset: Dataset, unchanged: Callable[[str], bool] | None = None) -> None:
        """``unchanged``: says of a real path whether the file is still the one that was declared."""
        self._dataset = dataset
        self._unchanged = unchanged
        self._lock = new_lock(self)
        self._open: OrderedDict[tuple[str, str], StoredArray] = OrderedDict()
        self._only: dict[str, str] = {}

    def row_dtype(self, shard: int, member: str = "") -> tuple[np.dtype[Any], tuple[int, ...]]:
        """(dtype as stored, shape of one row)."""
        array = self._array(shard, member)
        return array.dtype, array.row_shape

    def read(self, shard: int, rows: Ints, member: str = "") -> Array:
        """(n, *row_shape): these rows in this order; one may come twice. Raises ``IndexError`` outside the shard."""
        return self._array(shard, member).read(rows)

    def blocks(self, shard: int, rows_per_block: int, member: str = "") -> Iterator[tuple[int, Array]]:
        """(number of the first row, (n, *row_shape)) over a whole shard, in order."""
        return self._array(shard, member).blocks(rows_per_block)

    def hashes(self, shard: int) -> Hashes | None:
        """uint64 (rows,), where they are known without reading: of an array in memory that was looked through."""
        held = self._held(shard)
        return None if held is None else held.hashes

    def is_at_hand(self, shard: int) -> bool:
        """Whether the rows of a shard are in memory and were looked through."""
        held = self._held(shard)
        return held is not None and held.is_taken

    def members(self, shard: int) -> tuple[str, ...]:
        """The arrays that hold the rows of a shard; ("",) where there is just one."""
        if self._held(shard) is not None:
            return ("",)
        path = self._path(shard)
        member = self._dataset.members[shard]
        return (member,) if member else tuple(arrays_in(path)) if has_members(path) else ("",)

    def of_file(self, path: Path | str, member: str = "") -> StoredArray:
        """Any array in any file, such as a partner."""
        key = (os.path.realpath(path), member)
        if self._unchanged is not None and not self._unchanged(key[0]):
            raise DatasetError(
                f"{key[0]} is gone, or is not the file that was declared: leave files alone while they are recorded",
                slug="changed-file",
            )
        with self._lock:
            array = self._open.get(key)
            if array is not None:
                self._open.move_to_end(key)
                return array
        array = open_array(key[0], member or self._only_member(key[0]))
        with self._lock:
            array = self._open.setdefault(key, array)
            self._open.move_to_end(key)
            self._trim()
            return array

    def _held(self, shard: int) -> HeldArray | None:
        held = self._dataset.held
        return None if held is None else held.arrays[shard]

    def _array(self, shard: int, member: str) -> StoredArray:
        held = self._held(shard)
        if held is not None:
            return held
        facts = self._dataset.shards[shard]
        array = self.of_file(self._path(shard), member or self._dataset.members[shard])
        if array.rows != facts.rows or (facts.bytes is not None and facts.bytes != array.file_bytes):
            raise DatasetError(
                f"{array.name} has {array.rows:,} rows in {array.file_bytes:,} bytes, and was declared with "
                f"{facts.rows:,} rows: open the dataset again",
                slug="changed-file",
            )
        return array

    def _path(self, shard: int) -> Path:
        path = self._dataset.paths[shard]
        if path is None:
            raise unreadable(self._dataset.shards[shard].name, "it has no file on this machine")
        return path

    def _only_member(self, path: str) -> str:
        if not has_members(path):
            return ""
        if path not in self._only:
            found = arrays_in(path)
            if len(found) != 1:
                raise DatasetError(
                    f"{path} holds {len(found)} arrays ({', '.join(found)}): name the one whose rows are meant, as in "
                    f"'{path}::{found[0] if found else 'x'}'",
                    slug="several-arrays",
                )
            self._only[path] = found[0]
        return self._only[path]

    def _trim(self) -> None:
        """Forget what was not used for longest."""
        while len(self._open) > KEPT or (
            len(self._open) > 1 and sum(array.held_bytes for array in self._open.values()) > HELD
        ):
            self._open.popitem(last=False)


def open_array(path: str, member: str) -> StoredArray:
    """One array in one file; ``member``: see :class:`Dataset`. Raises :class:`DatasetError`."""
    suffix = File(path, member or None).suffix
    if suffix == ".npz":
        return npz.ArchiveArray(path, member)
    if suffix in hdf5.SUFFIXES:
        return hdf5.Hdf5Array(path, member)
    if suffix == zarr_store.SUFFIX:
        return zarr_store.ZarrArray(path, member)
    if suffix == ".npy" or not suffix:
        return FlatArray(path, member)
    if suffix in WITHOUT_ARRAYS:
        raise unreadable(path, "its rows are no arrays")
    raise raw.refuse_untyped(path)


def has_members(path: Path | str) -> bool:
    """Whether a file of this name may hold several arrays."""
    suffix = File(os.fspath(path)).suffix
    return suffix == ".npz" or suffix in (*hdf5.SUFFIXES, zarr_store.SUFFIX)


def arrays_in(path: Path | str) -> list[str]:
    """The arrays of such a file that have rows. Raises :class:`DatasetError`."""
    name = os.fspath(path)
    suffix = File(name).suffix
    try:
        if suffix == ".npz":
            return npz.archive_arrays(name)
        return hdf5.top_arrays(name) if suffix in hdf5.SUFFIXES else zarr_store.store_arrays(name)
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable(name, f"{type(error).__name__}: {error}") from error
