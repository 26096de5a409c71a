"""Columns of Arrow tables (out of csv, jsonl, Parquet) as a block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coverage_audit.importers.block import Block, bad_value, place
from coverage_audit.importers.columns import Columns
from coverage_audit.model.rows import Ints

_BETWEEN = r"[\s,;|()\[\]{}]+"
"""What stands around the ids of a list that is written as text."""


def to_block(batch: pa.RecordBatch, columns: Columns, where: str, line: int, unit: str = "line") -> Block:
    """A record batch as a block; ``line`` is the number of its first row.

    The ids are whole numbers, lists of them, or text such as ``3 1 2`` and ``[3, 1, 2]``.
    Raises :class:`LogError` (import-value) with the place of the first value that is something else.
    """

    def whole(name: str | None) -> Ints | None:
        return None if name is None else _whole(batch.column(name), name, where, line, unit)

    ids, sizes = _ids(batch.column(columns.ids or ""), str(columns.ids), where, line, unit)
    return Block(where, line, ids, sizes, whole(columns.step), whole(columns.rank), whole(columns.epoch), unit)


def _ids(column: pa.Array, name: str, where: str, line: int, unit: str) -> tuple[Ints, Ints]:
    _refuse_nulls(column, name, where, line, unit)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return _cast(column), np.ones(len(column), np.int64)
        except pa.ArrowInvalid:  # several ids somewhere, or none
            column = _parted(column)
            kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return _whole(column, name, where, line, unit), np.ones(len(column), np.int64)
    sizes = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    try:
        return _cast(column.flatten()), sizes
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        at, value = next((i, v) for i, v in enumerate(column) if not _is_whole(v.values))
        raise bad_value(place(where, line + at, unit), name, value.as_py()) from None


def _parted(texts: pa.Array) -> pa.Array:
    """Text with several ids as a list of them, still text."""
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, _BETWEEN, " "))
    parts = pc.split_pattern(plain, " ")
    empty = pc.equal(plain, "")
    if not pc.any(empty).as_py():
        return parts
    return pc.if_else(empty, pa.scalar([], parts.type), parts)


def _whole(column: pa.Array, name: str, where: str, line: int, unit: str) -> Ints:
    _refuse_nulls(column, name, where, line, unit)
    try:
        return _cast(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        at = next((i for i in range(len(column)) if not _is_whole(column.slice(i, 1))), 0)
        raise bad_value(place(where, line + at, unit), name, column[at].as_py()) from None


def _cast(values: pa.Array) -> Ints:
    if pa.types.is_null(values.type) and len(values) == 0:
        return np.empty(0, np.int64)
    if pa.types.is_boolean(values.type):
        raise pa.ArrowInvalid("true and false are no numbers")
    if values.null_count:
        raise pa.ArrowInvalid("a value is missing")
    whole: Any = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(whole, np.int64)


def _is_whole(values: pa.Array) -> bool:
    try:
        _cast(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _refuse_nulls(column: pa.Array, name: str, where: str, line: int, unit: str) -> None:
    if column.null_count:
        at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise bad_value(place(where, line + at, unit), name, None)
