"""Which rows of the declared data a map-style Hugging Face dataset has at its positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.model.rows import Ints
from coverage_audit.sources.arrow import SUFFIX
from coverage_audit.sources.arrow_rows import ArrowRows, find_rows, is_arrow_dataset, rows_of, rows_of_files

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

DECLARE = "declare ca.Dataset.of() the dataset as it is loaded"


def own_rows(dataset: Any, declared: Dataset | None) -> Ints | str | None:
    """int64: the sample id of each position, -1 for rows that are not in the declared data.

    A sentence where that is not known; None for what is no such dataset.

    Where the declared data is made of a Hugging Face dataset, or of the .arrow files that it maps, rows are followed
    through ``select``, ``shuffle``, ``filter``, ``sort`` and ``train_test_split``. Where it is just a number of rows,
    they are the rows of the dataset's table if that has as many.
    """
    if not is_arrow_dataset(dataset):
        return None
    if declared is None:
        return "no data is declared to find rows in"
    rows = rows_of(dataset)
    if rows is None:
        return "this version of datasets keeps its rows in another way: give ids= a column of row numbers"
    origin = declared.origin
    if origin is None and declared.paths and all(p is not None and p.suffix == SUFFIX for p in declared.paths):
        origin = rows_of_files(declared.paths, [shard.rows for shard in declared.shards])
    if origin is not None:
        found = find_rows(origin, rows)
        return f"{found}: {DECLARE}" if isinstance(found, str) else found
    return _of_a_number(rows, declared)


def _of_a_number(rows: ArrowRows, declared: Dataset) -> Ints | str:
    n = declared.shards.n_ids
    if len(declared.shards) > 1 or n not in (rows.table_rows, len(rows)):
        return f"the declared data does not say which rows of the loader's dataset it is: {DECLARE}"
    if rows.order is None:
        return np.arange(len(rows), dtype=np.int64)
    if n != rows.table_rows:
        return f"the loader's dataset is a choice of rows, the declared data only their number: {DECLARE}"
    return rows.order
