"""Where in the shards a set of rows lies, in words: at their heads, at their tails, or nowhere one could name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards
from coverage_audit.model.words import listed, several


@dataclass(frozen=True, slots=True)
class Place:
    """``where``: 'the last row of each of 4 shards'; ``fix``: what to look at in the loader."""

    where: str
    fix: str


def place_of(rows: RowSet, shards: Shards) -> Place | None:
    """Rows that are exactly the first, or exactly the last, rows of the shards they lie in; else None.

    No whole shard. Rows of one shard only count at the very head or tail of the data.
    """
    if shards.selected is not None or not rows:
        return None
    per_shard = shards.count_per_shard(rows)
    hit = np.flatnonzero(per_shard)
    k = per_shard[hit]
    starts, stops = shards.offsets[hit], shards.offsets[hit + 1]
    if (stops - starts <= k).any():
        return None
    filled = int(np.count_nonzero(shards.expected_per_shard))
    if len(hit) == 1 < filled and not (rows.starts[0] == 0 or rows.stops[-1] == shards.n_ids):
        return None
    alike = int(k[0]) if (k == k[0]).all() else 0
    if rows == RowSet.of_ranges(zip(starts.tolist(), (starts + k).tolist(), strict=True)):
        where = f"the first {_rows(alike)} of {_whose(shards, hit, filled)}"
        return Place(where, "look at where the loader begins" + (f": at row {alike} instead of row 0" if alike else ""))
    if rows == RowSet.of_ranges(zip((stops - k).tolist(), stops.tolist(), strict=True)):
        where = f"the last {_rows(alike)} of {_whose(shards, hit, filled)}"
        early = f", {several(alike, 'row')} too early" if alike else ": a last batch left out"
        bound = ": an exclusive bound one too small, such as range(n - 1) or x[:-1]" if alike == 1 else ""
        return Place(where, f"look at where the loader stops{early}{bound}")
    return None


def _rows(k: int) -> str:
    return {0: "rows", 1: "row"}.get(k, several(k, "row"))


def _whose(shards: Shards, hit: np.ndarray[tuple[int], np.dtype[np.intp]], filled: int) -> str:
    if len(hit) == 1:
        return "the data"
    if len(hit) == filled:
        return "every shard"
    return listed([shards[int(i)].name for i in hit])
