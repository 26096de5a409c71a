"""Writes tracer datasets: the same files with row ids in place of the data."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from coverage_audit.errors import DatasetError, UsageError
from coverage_audit.identity.tracer_codes import to_json
from coverage_audit.identity.tracer_design import Design, pick_main
from coverage_audit.identity.tracer_fill import Filler, Zeros
from coverage_audit.model.shards import Shards
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.files import PathLike
from coverage_audit.sources.progress import Progress, progress_of
from coverage_audit.sources.tracer_files import Original, open_original
from coverage_audit.sources.tracer_mark import NAME, Mark, MarkedFile, MarkedShard, read_mark, write_mark


def tracer(dataset: Dataset, folder: PathLike, *, below: int | None = None, progress: Progress = None) -> Dataset:
    """Write a stand-in for ``dataset`` into ``folder``, and open it.

    Same file names, formats, shapes and types; every row holds its row id with a check, so that whatever a loader
    copies, shuffles, buffers, casts, crops or reshapes, its batches say which rows they hold. Partner files
    (``aligned=``) and further arrays of a file stay in the range of the original.

    ``below``: whole numbers stay below it (the size of a vocabulary). ``progress``: None for a bar on a terminal, False
    for none, or a function that is called with (bytes written, bytes in all). Raises :class:`DatasetError`
    (tracer-needs-files, tracer-type, tracer-too-small, tracer-folder, tracer-no-space, and what opening the files
    raises), :class:`UsageError` (bad-below, bad-dataset) and OSError.
    """
    return plan_tracer(dataset, folder, below=below).write(progress)


@dataclass(frozen=True)
class _File:
    """One file to write. ``shards``: per array the shard whose rows it holds, None for what is not read."""

    original: Original
    name: str
    fillers: dict[str, Filler]
    shards: dict[str, int | None]

    @property
    def bytes(self) -> int:
        return sum(stored.bytes for stored in self.original.stored.values())

    def write(self, target: Path, tell: Callable[[int], None]) -> None:
        """``tell``: called with the bytes of each block."""

        def fill(name: str, start: int, stop: int) -> npt.NDArray[Any]:
            values = self.fillers[name].fill(start, stop)
            tell(values.nbytes)
            return values

        self.original.write(target, fill)


@dataclass(frozen=True)
class TracerPlan:
    """What will be written; nothing is, before :meth:`write`."""

    dataset: Dataset
    folder: Path
    root: Path
    design: Design
    files: tuple[_File, ...]

    @property
    def bytes(self) -> int:
        """How many bytes, before compression."""
        return sum(file.bytes for file in self.files)

    def write(self, progress: Progress = None) -> Dataset:
        """Write the files and open them. Raises :class:`DatasetError` (tracer-folder, tracer-no-space) and OSError."""
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = Mark(
            False,
            self.dataset.fingerprint,
            tuple(MarkedShard(shard.name, shard.rows) for shard in self.dataset.shards),
            tuple(to_json(code, dtype) for code, dtype in self.design.codes),
            tuple(MarkedFile(file.name, file.shards) for file in self.files),
        )
        write_mark(self.folder, mark)  # first, so that what is cut off is known to be ours
        with progress_of(progress, "writing the tracer", self.bytes) as tell:
            for file in self.files:
                _put(self.folder / file.name, file, tell)
        write_mark(self.folder, replace(mark, complete=True))
        return self._open()

    def check(self) -> None:
        """Nothing foreign is in the way, and the disk has room. Raises :class:`DatasetError` as :meth:`write` does."""
        self._check_folder()
        self._check_space()

    def _check_folder(self) -> None:
        names = {file.name for file in self.files}
        if any(os.path.realpath(self.folder / n) == os.path.realpath(self.root / n) for n in names):
            raise _occupied(self.folder, "is where the data itself lies")
        if not self.folder.is_dir():
            if self.folder.exists():
                raise _occupied(self.folder, "is a file")
            return
        mark = read_mark(self.folder)
        if mark is None:
            if any(self.folder.iterdir()):
                raise _occupied(self.folder, f"holds other things (no {NAME})")
            return
        own = {file.path for file in mark.files}
        foreign = sorted(name for name in names - own if (self.folder / name).exists())
        if foreign:
            raise _occupied(self.folder, f"holds {foreign[0]}, which is of no tracer")
        left = sorted(name for name in own - names if (self.folder / name).exists())
        if left:
            raise _occupied(self.folder, f"holds a tracer with other files ({left[0]})")

    def _check_space(self) -> None:
        there = next(place for place in (self.folder, *self.folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        if free < self.bytes:
            raise DatasetError(
                f"the tracer takes {self.bytes:,} bytes, as the data does, and {there} has {free:,} free: name a "
                "folder on another disk, or fewer files",
                slug="tracer-no-space",
            )

    def _open(self) -> Dataset:
        """The dataset as it was, with the paths and sizes of the new files."""
        moved = [self._moved(path) for path in self.dataset.paths if path is not None]
        members = self.dataset.members
        opened = Dataset.open([f"{path}::{m}" if m else path for path, m in zip(moved, members, strict=True)])
        shards = Shards(
            tuple(
                replace(shard, bytes=new.bytes, modified_ns=new.modified_ns)
                for shard, new in zip(self.dataset.shards, opened.shards, strict=True)
            ),
            self.dataset.shards.selected,
        )
        partners = tuple(tuple(self._moved(path) for path in group) for group in self.dataset.partners)
        return replace(self.dataset, shards=shards, paths=tuple(moved), partners=partners)

    def _moved(self, path: Path) -> Path:
        return self.folder / os.path.relpath(os.path.abspath(path), self.root)


def plan_tracer(dataset: Dataset, folder: PathLike, *, below: int | None = None) -> TracerPlan:
    """What :func:`tracer` would write. Labels are read for their range, everything else by its header only."""
    if below is not None and below < 2:
        raise UsageError(
            f"below={below}: values below it are to tell rows apart, so give 2 or more, such as the size of the "
            "vocabulary",
            slug="bad-below",
        )
    if not isinstance(dataset, Dataset):
        raise UsageError(
            f"dataset={repr(dataset)[:60]} is of type {type(dataset).__name__}: a tracer stands in for the files of "
            "ca.Dataset.open(paths)",
            slug="bad-dataset",
        )
    paths = [path for path in dataset.paths if path is not None]
    if len(paths) < len(dataset.paths) or not paths:
        raise DatasetError(
            f"{dataset!r} has shards without files on this machine: a tracer stands in for files, so use "
            "Dataset.open(paths)",
            slug="tracer-needs-files",
        )
    everything = [os.path.abspath(p) for p in (*paths, *(p for group in dataset.partners for p in group))]
    root = Path(os.path.commonpath([os.path.dirname(path) for path in everything]))
    design = Design(max(dataset.shards.n_ids, 1), _seed(dataset, everything), below)
    files = tuple(_plan_files(dataset, root, design))
    return TracerPlan(dataset, Path(os.path.abspath(folder)), root, design, files)


def _plan_files(dataset: Dataset, root: Path, design: Design) -> Iterator[_File]:
    shards_of: dict[str, list[int]] = {}
    partner_of: dict[str, int] = {}
    for at, path in enumerate(dataset.paths):
        shards_of.setdefault(os.path.abspath(path or ""), []).append(at)
    for at, group in enumerate(dataset.partners):
        for path in group:
            partner_of.setdefault(os.path.abspath(path), at)
    members = dataset.members or ("",) * len(dataset.shards)
    for locator in dict.fromkeys((*shards_of, *partner_of)):
        shards = shards_of.get(locator, [])
        original = open_original(Path(locator), members[shards[0]] if shards else "")
        arrays = dict(original.stored)
        main: dict[str, int] = {}
        for shard in shards:
            rows = dataset.shards[shard].rows
            of_shard = {name: a for name, a in arrays.items() if a.rows == rows}
            if not of_shard:
                raise DatasetError(
                    f"{locator} holds no numbers to write row ids with: leave it out of PATHS, or name it in aligned=",
                    slug="tracer-type",
                )
            named = members[shard] if members[shard] in arrays else "" if "" in arrays else None
            main[pick_main(of_shard) if named is None else named] = shard
        file = _File(original, os.path.relpath(locator, root).replace(os.sep, "/"), {}, {})
        homes = shards or [partner_of[locator]]
        for name, stored in arrays.items():
            home = main.get(name, next((s for s in homes if dataset.shards[s].rows == stored.rows), None))
            file.shards[name] = home
            if home is None or not stored.bytes:
                file.fillers[name] = Zeros(stored.shape[1:], stored.dtype)
                continue
            first = int(dataset.shards.offsets[home])
            if name in main:
                file.fillers[name] = design.main(f"{locator}::{name}" if name else locator, stored, first)
            else:
                file.fillers[name] = design.companion(stored, first, partial(original.read, name))
        yield file


def _put(target: Path, file: _File, tell: Callable[[int], None]) -> None:
    """A file or store appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        file.write(draft, tell)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def _seed(dataset: Dataset, paths: list[str]) -> int:
    """The same for the same data on the same machine; rows of two datasets are never taken for each other's."""
    facts = json.dumps([dataset.fingerprint, paths]).encode()
    return int.from_bytes(hashlib.blake2b(facts, digest_size=8).digest(), "big") >> 1


def _occupied(folder: Path, why: str) -> DatasetError:
    return DatasetError(f"{folder} {why}: name a new or empty folder for the tracer", slug="tracer-folder")
