"""The Parquet parts of one writer -> visits.

In most row groups most columns hold one value. Their statistics say so, and such a column is not decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from coverage_audit.model.event import Mark
from coverage_audit.runlog.footer import damaged, read_footer
from coverage_audit.runlog.schema import NUMPY_TYPES, VISITS, Column
from coverage_audit.runlog.summary import Summary
from coverage_audit.runlog.visits import Visits
from coverage_audit.runlog.writers import writer_of

_OF_WRITER = ("attempt", "rank", "process")  # the same in all records: not worth reading
_COLUMNS = tuple(c for c in VISITS if c.name not in _OF_WRITER)
_BATCH = 1 << 17  # records; every stream that is counted beside others holds so many


class PartsRecord:
    """One writer's complete set of parts."""

    def __init__(self, parts: list[Path]) -> None:
        self._parts = parts
        self.footers = [read_footer(part) for part in parts]
        self.writer = writer_of(self.footers[0].stem, self.footers[0].writer)
        self.splits = self.footers[0].splits

    @property
    def marks(self) -> list[Mark]:
        return [mark for footer in self.footers for mark in footer.marks]

    def summary(self) -> Summary:
        summary = self.footers[-1].summary
        if summary is None:
            raise damaged(self._parts[-1], KeyError("no summary in its footer"))
        return summary

    def visits(self) -> Iterator[Visits]:
        """Raises :class:`LogError` (damaged-part) where a part cannot be decoded."""
        for part in self._parts:
            try:
                with pq.ParquetFile(part) as file:
                    for group in range(file.num_row_groups):
                        yield from self._group(file, group)
            except (OSError, pa.ArrowException) as error:
                raise damaged(part, error) from error

    def _group(self, file: pq.ParquetFile, group: int) -> Iterator[Visits]:
        told = _constants(file.metadata.row_group(group), self.splits)
        columns = [c.name for c in _COLUMNS if c.name not in told]
        # Threads would spend more time on handing over than on decoding columns that are nearly constant.
        batches = file.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns, use_threads=False)
        for batch in batches:
            yield self._visits(batch, told)

    def _visits(self, batch: pa.RecordBatch, told: dict[str, np.generic]) -> Visits:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for column in _COLUMNS:
            name = "pass_" if column.name == "pass" else column.name
            if column.name in told:
                arrays[name] = np.broadcast_to(told[column.name], batch.num_rows)
            elif column.type == "dictionary":
                arrays[name] = _indices(batch.column(column.name), self.splits)
            else:
                arrays[name] = _numbers(batch.column(column.name), NUMPY_TYPES[column.type])
        return Visits(self.splits, self.writer.attempt, self.writer.rank, self.writer.process, **arrays)


def _constants(group: pq.RowGroupMetaData, splits: tuple[str, ...]) -> dict[str, np.generic]:
    """Columns that hold a single value all over a row group, with that value.

    At least one is left out: something has to be read to know how many records a batch has.
    """
    stored = {group.column(at).path_in_schema: group.column(at).statistics for at in range(group.num_columns)}
    values = {c.name: _constant(c, stored.get(c.name), splits) for c in _COLUMNS if c.name != "row"}
    return {name: value for name, value in values.items() if value is not None}


def _constant(column: Column, told: pq.Statistics | None, splits: tuple[str, ...]) -> np.generic | None:
    """None where the statistics do not say that there is one value and no null."""
    if told is None or not (told.has_min_max and told.has_null_count) or told.null_count or told.min != told.max:
        return None
    kind = NUMPY_TYPES[column.type]
    if column.type == "dictionary":
        return kind(splits.index(told.min)) if told.min in splits else None
    value = told.min
    limits = np.iinfo(kind)  # type: ignore[type-var]  # all of them are integers
    return kind(value) if isinstance(value, int) and limits.min <= value <= limits.max else None


def _numbers(values: pa.Array, kind: type[np.generic]) -> npt.NDArray[Any]:
    """A column as numpy sees it, without a copy where it can be: pyarrow's own to_numpy() would import pandas."""
    stored = values.type.to_pandas_dtype()
    if values.null_count or not np.issubdtype(stored, np.integer):
        raise pa.ArrowInvalid(f"a column of {values.type} with {values.null_count} nulls")
    if not len(values):
        return np.empty(0, kind)
    size = np.dtype(stored).itemsize
    numbers = np.frombuffer(values.buffers()[1], stored, len(values), values.offset * size)
    return numbers.astype(kind, copy=False)


def _indices(values: pa.Array, splits: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """A dictionary column as indices into ``splits``, whatever order its own dictionary has."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    names = values.dictionary.to_pylist()
    indices: npt.NDArray[np.int32] = _numbers(values.indices, np.int32)
    if tuple(names) == splits[: len(names)]:
        return indices
    return np.array([splits.index(name) for name in names], np.int32)[indices]
