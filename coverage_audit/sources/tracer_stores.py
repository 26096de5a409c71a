"""HDF5 files and zarr stores of a tracer dataset: the same groups, chunks, filters and attributes, other values."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.sources import zarr_store
from coverage_audit.sources.hdf5 import import_h5py
from coverage_audit.sources.members import missing_extra
from coverage_audit.sources.tracer_files import Fill, Stored

Array = npt.NDArray[Any]

_LAYOUT = ("maxshape", "chunks", "compression", "compression_opts", "shuffle", "fletcher32")
_METADATA = (zarr_store.V3, zarr_store.V2_ARRAY, zarr_store.V2_GROUP, ".zattrs", ".zmetadata")


class Hdf5File:
    """An HDF5 file. Datasets of text or objects, and empty ones, are made and not filled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py = import_h5py(str(path))
        with open(path, "rb") as stream, self._h5py.File(stream, "r") as file:
            self.stored: Mapping[str, Stored] = {
                name: Stored(d.shape, d.dtype, d.chunks[0] if d.chunks else 1)
                for name, d in self._datasets(file)
                if d.shape is not None and not d.dtype.hasobject
            }

    def _datasets(self, file: Any) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        file.visititems(lambda name, thing: found.append((name, thing)))  # append returns None: go on
        return [(name, thing) for name, thing in found if isinstance(thing, self._h5py.Dataset)]

    def read(self, name: str) -> Iterator[Array]:
        with open(self.path, "rb") as stream, self._h5py.File(stream, "r") as file:
            for start, stop in self.stored[name].blocks():
                yield file[name][start:stop]

    def write(self, target: Path, fill: Fill) -> None:
        with (
            open(self.path, "rb") as stream,
            self._h5py.File(stream, "r") as file,
            self._h5py.File(target, "w") as out,
        ):
            _copy_attributes(file, out)
            for name, dataset in self._datasets(file):
                made = self._make(out, name, dataset)
                _copy_attributes(dataset, made)
                if name in self.stored:
                    for start, stop in self.stored[name].blocks():
                        made[start:stop] = fill(name, start, stop)

    def _make(self, out: Any, name: str, dataset: Any) -> Any:
        if dataset.shape is None:
            return out.create_dataset(name, data=self._h5py.Empty(dataset.dtype))
        options = {key: getattr(dataset, key) for key in _LAYOUT if dataset.shape}
        return out.create_dataset(name, dataset.shape, dataset.dtype, **options)


class ZarrStore:
    """A zarr array or group in a folder. Its metadata is copied, so its format, chunks and codecs are the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zarr = _import_zarr(str(path))
        self.stored: Mapping[str, Stored] = {
            name: Stored(tuple(array.shape), array.dtype, int(array.chunks[0]) if array.shape else 1)
            for name, array in self._arrays(path, "r")
            if not array.dtype.hasobject
        }

    def _arrays(self, path: Path, mode: str) -> list[tuple[str, Any]]:
        opened = self._zarr.open(str(path), mode=mode)
        if isinstance(opened, self._zarr.Array):
            return [("", opened)]
        return [(name, thing) for name, thing in opened.members(None) if isinstance(thing, self._zarr.Array)]

    def read(self, name: str) -> Iterator[Array]:
        array = dict(self._arrays(self.path, "r"))[name]
        return (np.asarray(array[start:stop]) for start, stop in self.stored[name].blocks())

    def write(self, target: Path, fill: Fill) -> None:
        for described in (p for p in self.path.rglob("*") if p.name in _METADATA):
            place = target / described.relative_to(self.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(described, place)
        for name, array in self._arrays(target, "r+"):
            if name in self.stored:
                for start, stop in self.stored[name].blocks():
                    array[start:stop] = fill(name, start, stop)


def _copy_attributes(source: Any, target: Any) -> None:
    """Those that are numbers or text; references would lead nowhere."""
    for key, value in source.attrs.items():
        if isinstance(value, str | bytes) or not np.asarray(value).dtype.hasobject:
            target.attrs[key] = value


def _import_zarr(name: str) -> ModuleType:
    try:
        import zarr
    except ImportError as error:
        raise missing_extra(name, "zarr", "zarr") from error
    return zarr
