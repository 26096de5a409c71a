"""Rows read off the batches of a tracer dataset, whose contents are their row ids. Exact, or unknown.

An array is read as whole rows in order (however their axes were split or joined), as windows of a flat stream, and as
parts of rows (cropped, transposed, flipped, partly wiped out); first as it is, then with exact scalings undone. All
its rows must be read, or it is unknown. A reading of anything else passes with a chance of 2^-32 per row (see
:mod:`~coverage_audit.identity.tracer_word`), and :data:`AT_MOST` readings are tried: below 2^-24 in all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.identity.batches import Answer, Run, Unknown
from coverage_audit.identity.scalings import restore
from coverage_audit.identity.tracer_codes import Code, RowCode, StreamCode, Style, from_json
from coverage_audit.model.event import BatchRows, Found
from coverage_audit.model.rows import Ints
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.tracer_mark import NAME, Mark, find_marked_folder, read_mark

Array = npt.NDArray[Any]

AT_MOST = 128
"""Readings of one array."""

UNREADABLE = "no tracer code is left in the batch"
ELSEWHERE = "the batch holds rows of tracer files that are not in the dataset, or in it twice"


@dataclass(frozen=True, eq=False)
class Space:
    """The ids that one tracer's codes write, and what they are in the dataset that was opened.

    ``offsets``: (shards + 1,) of the original. ``shards``, ``firsts``: per original shard the opened one and the sample
    id of its row 0; -1 where it is not opened.
    """

    offsets: Ints
    shards: Ints
    firsts: Ints

    def rows(self, ids: Ints) -> Answer:
        """Ids as written -> sample ids."""
        at = np.searchsorted(self.offsets, ids, side="right") - 1
        firsts = self.firsts[at]
        if np.any(firsts < 0):
            return Unknown(len(ids), ELSEWHERE)
        return firsts + (ids - self.offsets[at])

    def windows(self, starts: Ints, length: int) -> Answer:
        """``length`` rows from each id on."""
        at = np.searchsorted(self.offsets, starts, side="right") - 1
        shards, rows = self.shards[at], starts - self.offsets[at]
        if np.any(shards < 0):
            return Unknown(len(starts) * length, ELSEWHERE)
        if len(starts) == 1:
            return Run(int(shards[0]), int(rows[0]), length)
        runs = np.stack((shards, rows, np.full(len(starts), length, np.int64)), axis=1)
        return BatchRows(len(starts) * length, runs=runs)


class _Reading(NamedTuple):
    """One way to read an array: a code, and what its values are taken for."""

    space: Space
    code: Code
    dtype: np.dtype[Any]
    parts: bool

    def fits(self, shape: tuple[int, ...], size: int) -> bool:
        if isinstance(self.code, StreamCode):
            return _window(shape) >= self.code.frame
        if not self.parts:
            return size % self.code.size == 0
        return self.code.style is not Style.PLAIN and size // shape[0] >= self.code.period

    def ids(self, values: Array) -> Ints:
        """One id per row or window; -1 where there is none."""
        if isinstance(self.code, StreamCode):
            return self.code.read(values.reshape(-1, _window(values.shape)), self.space.offsets)
        if not self.parts:
            return self.code.read_whole(values.reshape(-1, self.code.size))
        rows = values.reshape(len(values), -1)
        ids = self.code.read_parts(rows)
        return np.where(_pieces(ids, rows, self.code), -1, ids)

    def answer(self, ids: Ints, shape: tuple[int, ...]) -> Answer:
        if isinstance(self.code, StreamCode):
            return self.space.windows(ids, _window(shape))
        return self.space.rows(ids)


class Tracer:
    """``codes``: per code the space of its ids, and the type its values are stored with."""

    def __init__(self, codes: Sequence[tuple[Space, Code, np.dtype[Any]]]) -> None:
        whole = [_Reading(*code, parts=False) for code in codes]
        parts = [_Reading(*code, parts=True) for code in codes if isinstance(code[1], RowCode)]
        self._readings = (*whole, *parts)
        self._last: dict[tuple[int, np.dtype[Any]], tuple[_Reading, str | None]] = {}

    def tell(self, leaf: Array, at: int = 0) -> tuple[Found, Answer] | Unknown | None:
        """The rows of the array at position ``at`` of a batch; None if it is too small to hold any.

        Sample ids, or of a flat stream one run per window. Does not alter ``leaf``.
        """
        values = _numbers(leaf)
        if values is None or not values.size or not values.ndim:
            return None
        key = (at, values.dtype)
        fitting = [reading for reading in self._readings if reading.fits(values.shape, values.size)]
        if not fitting:
            return None
        best: tuple[int, int] | None = None
        for count, (reading, name, numbers) in enumerate(self._tries(values, fitting, self._last.get(key))):
            if count == AT_MOST:
                break
            ids = reading.ids(numbers)
            known = int(np.count_nonzero(ids >= 0))
            if known == len(ids):
                self._last[key] = (reading, name)
                answer = reading.answer(ids, values.shape)
                return answer if isinstance(answer, Unknown) else (Found.TRACER, answer)
            if best is None or known > best[0]:
                best = (known, len(ids))
        known, rows = best or (0, 0)
        return Unknown(len(values), UNREADABLE, f"{known:,} of {rows:,} rows could be read")

    def _tries(
        self, values: Array, fitting: Sequence[_Reading], last: tuple[_Reading, str | None] | None
    ) -> Iterator[tuple[_Reading, str | None, Array]]:
        """(reading, scaling, values): what was right before, then as they are, then with scalings undone."""
        if last is not None and last[0] in fitting:
            reading, name = last
            if name is None:
                yield reading, None, values
            else:
                first = next(restore(values, reading.dtype, name), None)
                if first is not None:
                    yield reading, *first
        for reading in fitting:
            yield reading, None, values
        if values.dtype.kind != "f":
            return
        for dtype in dict.fromkeys(reading.dtype for reading in fitting):
            for name, restored in restore(values, dtype):
                for reading in fitting:
                    if reading.dtype == dtype:
                        yield reading, name, restored


def read_tracer(dataset: Dataset) -> Tracer | None:
    """What reads the batches of this dataset, if its files are a tracer's; a tracer.json lies in a folder above them.

    None if no file of it is one, or if the tracer was not written to its end. Raises :class:`DatasetError`: bad-tracer,
    newer-tracer.
    """
    shards_in: dict[Path, list[int]] = {}
    folders: dict[Path, Path | None] = {}
    paths = [None if path is None else Path(os.path.realpath(path)) for path in dataset.paths]
    for at, path in enumerate(paths):
        if path is not None:
            if path.parent not in folders:
                folders[path.parent] = find_marked_folder(path)
            folder = folders[path.parent]
            if folder is not None:
                shards_in.setdefault(folder, []).append(at)
    codes: list[tuple[Space, Code, np.dtype[Any]]] = []
    for folder, opened in shards_in.items():
        mark = read_mark(folder)
        if mark is None or not mark.complete:
            continue
        files = {at: path.relative_to(folder).as_posix() for at in opened if (path := paths[at]) is not None}
        space = _space(mark, dataset, files)
        try:
            codes += [(space, *from_json(facts)) for facts in mark.codes]
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{folder / NAME} describes a code that cannot be ({error}): write the tracer again",
                slug="bad-tracer",
            ) from error
    return Tracer(codes) if codes else None


def _space(mark: Mark, dataset: Dataset, files: dict[int, str]) -> Space:
    """Where the original shards are in ``dataset``. ``files``: of its shards that lie in the tracer's folder."""
    offsets = np.concatenate(([0], np.cumsum([shard.rows for shard in mark.shards]))).astype(np.int64)
    held = {file.path: file.arrays for file in mark.files}
    shards = np.full(len(mark.shards), -1, np.int64)
    for opened, file in files.items():
        arrays, member = held.get(file, {}), dataset.members[opened] if dataset.members else ""
        originals = {arrays[member]} if member in arrays else set(arrays.values())
        for original in originals - {None}:
            if original is not None and mark.shards[original].rows == dataset.shards[opened].rows:
                # Opened twice, as features and as labels: which of them a batch holds is not known.
                shards[original] = opened if shards[original] == -1 else -2
    firsts = np.where(shards >= 0, dataset.shards.offsets[np.maximum(shards, 0)], -1)
    return Space(offsets, shards, firsts)


def _numbers(leaf: Array) -> Array | None:
    """As whole numbers or floats: complex ones as pairs of floats, bfloat16 and its kin widened; None for the rest."""
    if leaf.dtype.kind in "biuf":
        return np.asarray(leaf)
    if leaf.dtype.kind == "c":
        halves = np.ascontiguousarray(leaf)
        return np.stack((halves.real, halves.imag), axis=-1)
    if leaf.dtype.kind == "V" and leaf.dtype.names is None and leaf.dtype.itemsize <= 2:
        try:
            return leaf.astype(np.float32)
        except (TypeError, ValueError):  # bytes, not numbers
            return None
    return None


def _window(shape: tuple[int, ...]) -> int:
    """The length of the windows of a batch of this shape: its last axis, but for channels of one."""
    lengths = [n for n in shape if n != 1]
    return lengths[-1] if lengths else 1


def _pieces(ids: Ints, rows: Array, code: RowCode) -> npt.NDArray[np.bool_]:
    """Which ``rows`` may be pieces of one row rather than rows: their id comes several times.

    (B, T, F) that is cut and reshaped to (B·T, F) is the case in mind, or a row without an axis for the batch. Only
    if more than half of the values of a stored row are there, and not more than all, it cannot be.
    """
    _, at, counts = np.unique(ids, return_inverse=True, return_counts=True)
    times = counts[at.reshape(-1)]
    left = np.count_nonzero(rows, axis=1) if code.low > 0 else rows.shape[1]
    doubtful = (2 * left <= code.size) | (left > code.size) | (times == len(ids))
    several: npt.NDArray[np.bool_] = (times > 1) & doubtful
    return several
