"""An index of a sampler, as it was when it was given, whatever becomes of the list. Knows nothing of torch."""

from __future__ import annotations

from typing import Any

import numpy as np

NOTHING = object()
"""No index: not known, or not asked for."""


class Given:
    """An index of the sampler, as it was when it was given: samplers use one list again for all their batches, and
    datasets take apart the one they get."""

    __slots__ = ("_as_given", "_index")

    def __init__(self, index: Any) -> None:
        self._index = index
        self._as_given = index.copy() if type(index) in (list, np.ndarray) else index

    def in_this_process(self) -> Any:
        """What the dataset was asked for, in the order in which it gives it: some sort the list that they get."""
        index, before = self._index, self._as_given
        if type(index) is list and index != before and len(index) == len(before) and sorted(index) == sorted(before):
            return index
        return before

    def in_a_worker(self) -> Any:
        """NOTHING where the worker may have got what the list became."""
        index, before = self._index, self._as_given
        if type(index) is list:
            return before if index == before else NOTHING
        return before if index is before or np.array_equal(index, before) else NOTHING
