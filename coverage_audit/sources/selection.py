"""Which rows of a dataset are chosen: by sample ids, by a mask, or as a set."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards


def choose_rows(rows: Any, shards: Shards) -> RowSet:
    """``rows``: sample ids (array, list, range), a boolean mask of one entry per sample id, or a RowSet.

    Raises :class:`DatasetError`: rows-outside, rows-twice, not-rows.
    """
    n = shards.n_ids
    if isinstance(rows, RowSet):
        chosen = rows
    else:
        ids = np.asarray(rows)
        if ids.dtype == np.bool_:
            if ids.shape != (n,):
                raise DatasetError(f"a mask of shape {ids.shape} does not fit {n:,} rows", slug="not-rows")
            ids = np.flatnonzero(ids)
        if ids.size == 0:
            return RowSet.empty()
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise DatasetError(
                f"rows of type {ids.dtype} and shape {ids.shape} are not sample ids: give a list of whole numbers",
                slug="not-rows",
            )
        chosen = RowSet.of_ids(ids)
        if len(chosen) != len(ids):
            raise DatasetError(
                f"{len(ids) - len(chosen):,} of the {len(ids):,} selected rows come more than once: a selection is a "
                "set, give numpy.unique(rows)",
                slug="rows-twice",
            )
    outside = chosen - shards.expected
    if outside:
        raise DatasetError(
            f"selected rows that are not in this dataset: {len(outside):,}, the first is {int(outside.starts[0]):,}: "
            f"sample ids go from 0 to {n - 1:,}" + ("" if shards.selected is None else ", less by the earlier select"),
            slug="rows-outside",
        )
    return chosen
