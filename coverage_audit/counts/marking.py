"""Many ids at once, marked in a mask of all rows where that takes less time than sorting them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coverage_audit.model.rows import Ints, RowSet

DENSE = 32
"""Rows of the data per id up to which ids are marked in a mask of all rows."""


def rows_of(parts: Sequence[Ints], n_ids: int) -> RowSet:
    """The set of many ids, each in 0..n_ids-1; at least one part."""
    if n_ids > DENSE * sum(map(len, parts)):
        return RowSet.of_ids(np.concatenate(parts))
    seen = np.zeros(n_ids, np.bool_)
    for ids in parts:
        seen[ids] = True
    return RowSet.of_mask(seen)


def count_among(ids: Ints, others: Ints, n_ids: int) -> int:
    """How many of ``ids`` are among ``others``, all of them in 0..n_ids-1."""
    if not len(ids) or not len(others):
        return 0
    among = np.zeros(n_ids, np.bool_)
    among[others] = True
    return int(np.count_nonzero(among[ids]))
