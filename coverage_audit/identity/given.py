"""Rows as a training loop names them itself: ids, slices, ranges, pairs, or simply the batch."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np

from coverage_audit.identity.batches import NO_IDS, Answer, Identified, Run, Unknown, Way
from coverage_audit.identity.explicit import rows_given
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import Found


def rows_of_step(rows: Any, way: Way, n_ids: int | None) -> tuple[Found, Answer | Identified]:
    """What ``rows`` says, and how it is known.

    Sample ids: a 1-D array, list or tuple of whole numbers, a range, a slice (cut at ``n_ids`` as an array would).
    (shard, row): an array of shape (B, 2), or a list of pairs. Anything else is a batch, for ``way`` to look into; so
    is an array of the forms above that ``way`` recognises as a piece of the data itself.
    """
    if isinstance(rows, slice):
        if n_ids is None and (rows.stop is None or min(rows.start or 0, rows.stop) < 0):
            return Found.UNKNOWN, Unknown(-1, "a slice from the end of the data needs a dataset to be counted")
        rows = range(*rows.indices(n_ids if n_ids is not None else max(rows.start or 0, rows.stop)))
    if isinstance(rows, range):
        if not rows:
            return Found.EXPLICIT, NO_IDS
        if rows.step == 1:
            return Found.EXPLICIT, Run(-1, rows.start, len(rows))
        return Found.EXPLICIT, np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)
    if _may_be_ids(rows):
        if isinstance(way, Ladder) and isinstance(rows, np.ndarray) and rows.base is not None and way.is_data(rows):
            return way.found, way.identify(rows)[1]
        return Found.EXPLICIT, rows_given(rows, None)
    return way.found, way.identify(rows)[1]


def _may_be_ids(rows: Any) -> bool:
    if isinstance(rows, list | tuple):
        return all(isinstance(i, Number) for i in rows) or all(
            isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(i, Number) for i in pair)
            for pair in rows
        )
    if isinstance(rows, Mapping):
        return False
    shape = getattr(rows, "shape", None)
    return shape is not None and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 2))
