"""Where the rows of a Hugging Face dataset lie: in Arrow files or in memory, and in which order it goes through them.

``select``, ``shuffle``, ``filter``, ``sort`` and ``train_test_split`` leave the table where it is and put an index in
front, or a slice of it; so a row is known again in whatever was made of the dataset in these ways. What writes a new
table (``map``, ``flatten_indices``) begins anew. Read off ``_data`` and ``_indices`` of datasets 5.2, and the ``path``,
``replays`` and ``blocks`` of its tables; nothing is imported, and where one of these is missing, nothing is said.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coverage_audit.model.rows import Ints

# What was done to a table that leaves each row at its place (methods of datasets.table.MemoryMappedTable).
_SAME_ROWS = frozenset(
    {"cast", "flatten", "combine_chunks", "replace_schema_metadata", "add_column", "append_column", "remove_column"}
    | {"set_column", "rename_columns", "drop", "drop_columns", "select"}
)


class Piece(NamedTuple):
    """``rows`` rows from ``start`` on of one source, which any of ``sources`` tells: a file, or memory per column."""

    sources: tuple[Hashable, ...]
    start: int
    rows: int


@dataclass(frozen=True, eq=False)
class ArrowRows:
    """``pieces``: the table, end to end. ``order``: int64, the row of the table at each position; None: in order.

    ``kept``: what must stay in memory, so that nothing else is put where it was.
    """

    pieces: tuple[Piece, ...]
    order: Ints | None = None
    kept: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def table_rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    def __len__(self) -> int:
        return self.table_rows if self.order is None else len(self.order)

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()  # addresses mean nothing in another process


def is_arrow_dataset(thing: Any) -> bool:
    """Whether this is a map-style dataset of Hugging Face datasets."""
    kinds = type(thing).__mro__
    return any(k.__name__ == "Dataset" and k.__module__.partition(".")[0] == "datasets" for k in kinds)


def rows_of(dataset: Any) -> ArrowRows | None:
    """Where the rows of a map-style dataset lie; None if its insides are not as they were when this was written."""
    try:
        table, indices = dataset._data, dataset._indices
        pieces, kept = _pieces(table)
        order = None if indices is None else np.asarray(indices.column(0).to_numpy()).astype(np.int64)
        found = ArrowRows(pieces, order, kept)
        whole = found.table_rows == table.num_rows and len(found) == len(dataset)
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, NotImplementedError):
        return None
    return found if whole else None


def rows_of_all(things: Sequence[Any]) -> ArrowRows | None:
    """As :func:`rows_of`, of several datasets one after the other; None if one of them is none."""
    if not things or not all(map(is_arrow_dataset, things)):
        return None
    each = [rows_of(thing) for thing in things]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    if len(known) == 1:
        return known[0]
    starts: dict[Piece, int] = {}
    for piece in (piece for one in known for piece in one.pieces):  # two parts of a split share their table
        starts.setdefault(piece, sum(earlier.rows for earlier in starts))
    table = ArrowRows(tuple(starts), None, tuple(kept for one in known for kept in one.kept))
    order = np.concatenate([_places(one, starts) for one in known])
    return table if np.array_equal(order, np.arange(table.table_rows)) else replace(table, order=order)


def _places(rows: ArrowRows, starts: Mapping[Piece, int]) -> Ints:
    """The row at each position, in a table in which each piece of this one begins at ``starts``."""
    ranges = [np.arange(starts[piece], starts[piece] + piece.rows, dtype=np.int64) for piece in rows.pieces]
    table = np.concatenate([np.empty(0, np.int64), *ranges])
    return table if rows.order is None else table[rows.order]


def rows_of_files(paths: Sequence[Path | None], rows: Sequence[int]) -> ArrowRows:
    """The rows of Arrow files, end to end."""
    return ArrowRows(
        tuple(
            Piece((("file", at) if path is None else _file(os.fspath(path)),), 0, n)
            for at, (path, n) in enumerate(zip(paths, rows, strict=True))
        )
    )


def find_rows(declared: ArrowRows, dataset: ArrowRows) -> Ints | str:
    """int64: for each position of ``dataset`` the position in ``declared``, -1 for rows that it does not have.

    A sentence instead where that cannot be said: the two have no row in common, or a row comes twice in ``declared``.
    """
    same_table = declared.pieces == dataset.pieces
    table: Ints | str
    if same_table:
        if (declared.order is None and dataset.order is None) or (
            declared.order is not None and dataset.order is not None and np.array_equal(declared.order, dataset.order)
        ):
            return np.arange(len(dataset), dtype=np.int64)
        table = np.arange(dataset.table_rows, dtype=np.int64)
    else:
        table = _table_rows(declared, dataset)
        if isinstance(table, str):
            return table
    if declared.order is not None:
        inverse = np.full(declared.table_rows, -1, np.int64)
        inverse[declared.order] = np.arange(len(declared.order), dtype=np.int64)
        if np.count_nonzero(inverse >= 0) < len(declared.order):
            return _TWICE
        table = np.where(table < 0, -1, inverse[table])
    return table if dataset.order is None else table[dataset.order]


_TWICE = "a row comes more than once in the declared dataset"
_OTHER = "the loader's dataset is another table than the declared one (map() and flatten_indices() write a new one)"


def _table_rows(declared: ArrowRows, dataset: ArrowRows) -> Ints | str:
    """For each row of the table of ``dataset`` the row of the table of ``declared``, or -1."""
    places: dict[Hashable, list[tuple[int, int, int]]] = {}
    at = 0
    for piece in declared.pieces:
        for source in piece.sources:
            places.setdefault(source, []).append((piece.start, piece.start + piece.rows, at))
        at += piece.rows
    for spans in places.values():
        spans.sort()
        if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
            return _TWICE
    found = np.full(dataset.table_rows, -1, np.int64)
    at, is_known = 0, not dataset.table_rows
    for piece in dataset.pieces:
        spans = next((places[source] for source in piece.sources if source in places), [])
        for low, high, first in spans:
            start, stop = max(low, piece.start), min(high, piece.start + piece.rows)
            if start < stop:
                here = at + start - piece.start
                found[here : here + stop - start] = np.arange(first + start - low, first + stop - low)
        is_known = is_known or bool(spans)
        at += piece.rows
    return found if is_known else _OTHER


def _pieces(table: Any) -> tuple[tuple[Piece, ...], tuple[Any, ...]]:
    """The pieces of a ``datasets.table.Table``, and the tables in memory among them. Raises where it is none."""
    pieces: list[Piece] = []
    kept: list[Any] = []
    rows = table.blocks if hasattr(table, "blocks") else [[table]]
    for blocks in rows:
        on_disk = [block for block in blocks if hasattr(block, "path")]
        if on_disk:
            pieces.append(_mapped(on_disk[0]))
        else:
            pieces.extend(_in_memory(blocks[0].table))
            kept.append(blocks[0].table)
    return tuple(piece for piece in pieces if piece.rows), tuple(kept)


def _mapped(block: Any) -> Piece:
    start = 0
    for name, args, options in block.replays:
        if name == "slice":
            start += int(options.get("offset", args[0] if args else 0))
        elif name not in _SAME_ROWS:
            raise ValueError(f"{name} moves rows")
    return Piece((_file(block.path),), start, int(block.num_rows))


def _in_memory(table: Any) -> Iterator[Piece]:
    for batch in table.to_batches():
        arrays = [array for array in batch.columns if array.offset == batch.columns[0].offset]
        sources = tuple(("memory", key) for key in dict.fromkeys(map(_address, arrays)) if key)
        yield Piece(sources or (("nowhere", id(batch)),), arrays[0].offset if arrays else 0, int(batch.num_rows))


def _address(array: Any) -> tuple[int, ...]:
    """Where the values of an array are in memory; a slice of an array has the same address and another offset."""
    return tuple(buffer.address for buffer in array.buffers() if buffer is not None and buffer.size)


def _file(path: str) -> tuple[str, str]:
    return "file", os.path.realpath(path)


def _nothing() -> None:
    return None
