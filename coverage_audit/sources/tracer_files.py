"""The files of a tracer dataset: of the same formats and shapes as the original ones, filled by somebody else.

A file is written from its first row to its last, a block at a time. What surrounds the rows (headers, chunks,
compression, attributes) is taken over.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.sources import hdf5, zarr_store
from coverage_audit.sources.files import File
from coverage_audit.sources.npy import Layout, read_layout
from coverage_audit.sources.raw import row_type

Array = npt.NDArray[Any]
Fill = Callable[[str, int, int], Array]
"""(array, start, stop) -> the rows start to stop of that array, (stop - start, *row shape), of its type."""

BLOCK = 8 << 20
"""Bytes written at a time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One array in a file. ``chunk``: rows that are best written together."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: int = 1

    @property
    def rows(self) -> int | None:
        """None for a 0-d array."""
        return self.shape[0] if self.shape else None

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def blocks(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of the rows to write at a time."""
        rows = self.rows or 0
        at_a_time = max(BLOCK * rows // max(self.bytes, 1), 1)
        at_a_time = max(at_a_time // self.chunk * self.chunk, self.chunk)
        return ((start, min(start + at_a_time, rows)) for start in range(0, rows, at_a_time))


class Original(Protocol):
    """A file of the data whose stand-in is to be written."""

    @property
    def stored(self) -> Mapping[str, Stored]:
        """Its arrays by name; "" for a file that is one array."""

    def read(self, name: str) -> Iterator[Array]:
        """The rows of one array, block by block."""

    def write(self, target: Path, fill: Fill) -> None:
        """Write a file like it. Raises OSError where that fails."""


def open_original(path: Path, member: str) -> Original:
    """A file of a dataset; ``member`` says the type of the rows of a flat one.

    A flat file without a type (a partner) is taken for bytes. Raises :class:`DatasetError`: tracer-type for pickled
    objects, damaged-file, missing-extra.
    """
    from coverage_audit.sources.tracer_stores import Hdf5File, ZarrStore

    suffix = File(os.fspath(path), member or None).suffix
    if suffix == ".npz":
        return Archive(path)
    if suffix in hdf5.SUFFIXES:
        return Hdf5File(path)
    if suffix == zarr_store.SUFFIX:
        return ZarrStore(path)
    if suffix == ".npy":
        with open(path, "rb") as stream:
            return PlainFile(path, _refuse_objects(read_layout(stream, str(path), os.path.getsize(path)), str(path)))
    return PlainFile(path, row_type(member or "u1", str(path)).layout(str(path), os.path.getsize(path)))


@dataclass(frozen=True)
class PlainFile:
    """A .npy file, or a flat file of numbers: some bytes, then the rows."""

    path: Path
    layout: Layout

    @property
    def stored(self) -> Mapping[str, Stored]:
        return {"": Stored(self.layout.shape, self.layout.dtype)}

    def read(self, name: str) -> Iterator[Array]:
        stored = self.stored[name]
        if not stored.bytes:
            return
        order: Any = "F" if self.layout.fortran else "C"
        mapped = np.memmap(self.path, stored.dtype, "r", self.layout.offset, stored.shape, order)
        for start, stop in stored.blocks():
            yield np.asarray(mapped[start:stop])

    def write(self, target: Path, fill: Fill) -> None:
        with open(self.path, "rb") as original:
            head = original.read(self.layout.offset)
        with open(target, "wb") as out:
            out.write(head)
            if not self.layout.fortran:
                _write_rows(out, self.stored[""], "", fill)
                return
            # Reserved first: a full disk is an error here, and would be the end of the process on a memory map.
            os.posix_fallocate(out.fileno(), 0, max(self.layout.offset + self.stored[""].bytes, 1))
        stored = self.stored[""]
        if stored.bytes:
            mapped = np.memmap(target, stored.dtype, "r+", self.layout.offset, stored.shape, "F")
            for start, stop in stored.blocks():
                mapped[start:stop] = fill("", start, stop)
            mapped.flush()


class Archive:
    """A .npz file; what is compressed stays compressed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self._infos = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
            self._layouts = {name: self._layout(archive, info) for name, info in self._infos.items()}

    def _layout(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Layout:
        name = f"{self.path}::{info.filename.removesuffix('.npy')}"
        with archive.open(info) as stream:
            return _refuse_objects(read_layout(stream, name, info.file_size), name)

    @property
    def stored(self) -> Mapping[str, Stored]:
        return {name: Stored(layout.shape, layout.dtype) for name, layout in self._layouts.items()}

    def read(self, name: str) -> Iterator[Array]:
        stored, layout = self.stored[name], self._layouts[name]
        with zipfile.ZipFile(self.path) as archive, archive.open(self._infos[name]) as stream:
            stream.read(layout.offset)
            if layout.fortran:
                yield np.frombuffer(stream.read(), stored.dtype).reshape(stored.shape, order="F")
                return
            for start, stop in stored.blocks():
                shape = (stop - start, *stored.shape[1:])
                yield np.frombuffer(stream.read(math.prod(shape) * stored.dtype.itemsize), stored.dtype).reshape(shape)

    def write(self, target: Path, fill: Fill) -> None:
        with zipfile.ZipFile(self.path) as original, zipfile.ZipFile(target, "w") as archive:
            for name, info in self._infos.items():
                stored, layout = self.stored[name], self._layouts[name]
                copy = zipfile.ZipInfo(info.filename, info.date_time)
                copy.compress_type, copy.external_attr = info.compress_type, info.external_attr
                with original.open(info) as source, archive.open(copy, "w", force_zip64=True) as out:
                    out.write(source.read(layout.offset))
                    if stored.rows is None:
                        out.write(bytes(stored.bytes))
                    elif layout.fortran:
                        out.write(fill(name, 0, stored.rows).tobytes(order="F"))
                    else:
                        _write_rows(out, stored, name, fill)


def _write_rows(out: IO[bytes], stored: Stored, name: str, fill: Fill) -> None:
    for start, stop in stored.blocks():
        out.write(np.ascontiguousarray(fill(name, start, stop)).tobytes())


def _refuse_objects(layout: Layout, name: str) -> Layout:
    if layout.dtype.hasobject:
        raise DatasetError(
            f"{name} holds pickled objects ({layout.dtype}), which cannot be stood in for: leave it out, or save it "
            "with a type of numbers",
            slug="tracer-type",
        )
    return layout
