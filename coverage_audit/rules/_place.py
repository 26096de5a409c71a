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
    """Rows that are exactly the first, or exactly the last, k rows of the shards they lie in; else None.

    One k for all of them, and no whole shard. Rows of one shard only count at the very head or tail of the data.
    """
    if shards.selected is not None or not rows:
        return None
    per_shard = shards.count_per_shard(rows)
    hit = np.flatnonzero(per_shard)
    k = int(per_shard[hit[0]])
    lengths = shards.expected_per_shard[hit]
    if (per_shard[hit] != k).any() or (lengths <= k).any():
        return None
    starts, stops = shards.offsets[hit], shards.offsets[hit + 1]
    heads = rows == RowSet.of_ranges((int(a), int(a) + k) for a in starts)
    tails = rows == RowSet.of_ranges((int(b) - k, int(b)) for b in stops)
    filled = int(np.count_nonzero(shards.expected_per_shard))
    if len(hit) == 1 < filled and not (rows.starts[0] == 0 or rows.stops[-1] == shards.n_ids):
        return None
    if heads:
        where, fix = f"the first {_rows(k)}", f"look at where the loader begins: at row {k} instead of row 0"
    elif tails:
        bound = ": an exclusive bound one too small, such as range(n - 1) or x[:-1]" if k == 1 else ""
        where, fix = f"the last {_rows(k)}", f"look at where the loader stops, {several(k, 'row')} too early{bound}"
    else:
        return None
    return Place(f"{where} of {_whose(shards, hit, filled)}", fix)


def _rows(k: int) -> str:
    return "row" if k == 1 else several(k, "row")


def _whose(shards: Shards, hit: np.ndarray[tuple[int], np.dtype[np.intp]], filled: int) -> str:
    if len(hit) == 1:
        return "the data"
    if len(hit) == filled:
        return "every shard"
    return listed([shards[int(i)].name for i in hit])
