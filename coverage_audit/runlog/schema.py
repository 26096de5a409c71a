"""The columns of a run log, once.

SCHEMA_VERSION history
----------------------
1   2026-11: first version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its Parquet type by Arrow's name, and what it means."""

    name: str
    type: str
    meaning: str


# One record per contiguous run of rows per consumption, plus one per yield that was never consumed.
VISITS: tuple[Column, ...] = (
    # Which stream inside the run.
    Column("split", "dictionary", "train, validation, ..."),
    # Who recorded it.
    Column("attempt", "int32", "launch generation of the run, from 0"),
    Column("rank", "int32", "data-parallel index"),
    Column("process", "int32", "recording process of this attempt and rank, from 1"),
    Column("worker", "int32", "loader worker that made the batch; -1: none"),
    # When, in the trainer's words.
    Column("fit", "int32", "ordinal of the fit() call of this split; -1 while unknown"),
    Column("epoch", "int32", "ordinal over all fits (validation: of the evaluation); -1 while unknown"),
    Column("pass", "int32", "traversal of the data, where the loader told it; -1: counts infer it"),
    Column("batch", "int64", "ordinal of the yield in this split and process; replays repeat it; -1: unknown"),
    Column("step", "int64", "ordinal of the consumption; -1: never consumed, or nobody says"),
    # How far it got and how it is known.
    Column("stage", "int8", "furthest reached: 0 yielded, 1 delivered, 2 trained"),
    Column("found", "int8", "how the rows are known, see model.event.Found; +64 verified"),
    # The rows.
    Column("shard", "int32", "index into the dataset's shards; -1: unidentified, or outside the data"),
    Column("row", "int64", "first row of the run; -1 if unidentified; the raw id if outside"),
    Column("count", "int32", "rows in the run; the batch's rows if unidentified"),
)

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "dictionary": np.int32,
    "int8": np.int8,
    "int32": np.int32,
    "int64": np.int64,
}
