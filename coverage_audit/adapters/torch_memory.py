"""Are the samples at the positions of a dataset the rows at those places of the declared arrays in memory?

The loader may hold the arrays in another order than they were declared in, or they may have been shuffled in place
since. Samples that hold the rows at their positions are right; those that hold other rows are wrong; those that hold
none went through arithmetic, and say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.parts import arrays, as_array
from coverage_audit.model.rows import Ints
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.held import Held
from coverage_audit.sources.row_hashes import Hashes, hash_rows

Hold = Callable[[npt.NDArray[Any]], Ints | None]
"""The rows that an array holds, int64 (n,), by its bytes or an exact scaling; None if they are not known."""


class MemoryOrder:
    """The rows of declared arrays in memory, to be compared with batches. ``held_by``: tells rows by what they hold."""

    def __init__(self, dataset: Dataset, held: Held, held_by: Hold) -> None:
        self._offsets = dataset.shards.offsets
        self._held = held
        self._held_by = held_by

    def is_other(self, batch: Any, ids: Ints) -> bool:
        """Whether a part of ``batch`` (len(ids) samples) holds other rows than ``ids``, and no part holds these."""
        if not ids.size or int(ids.min()) < 0 or int(ids.max()) >= int(self._offsets[-1]):
            return False
        asked = self._hashes(ids)
        is_other = False
        for leaf in map(as_array, arrays(batch)):
            rows = None if leaf is None or leaf.ndim < 2 or len(leaf) != len(ids) else self._held_by(leaf)
            if rows is None or len(rows) != len(ids):
                continue
            if np.array_equal(self._hashes(rows), asked):  # rows that equal each other are each other's
                return False
            is_other = True
        return is_other

    def _hashes(self, ids: Ints) -> Hashes:
        """uint64 (ids,): of the rows as they were declared; 0 for those that are not in memory."""
        out = np.zeros(len(ids), np.uint64)
        shards = np.searchsorted(self._offsets, ids, side="right") - 1
        for shard in np.unique(shards).tolist():
            array = self._held.arrays[shard]
            here = shards == shard
            rows = ids[here] - self._offsets[shard]
            if array is not None and array.numbers is not None:
                out[here] = hash_rows(array.numbers[rows])
            elif array is not None and array.hashes is not None:
                out[here] = array.hashes[rows]
        return out
