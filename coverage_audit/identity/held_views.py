"""Rows of views of arrays in memory, by their address, as far as the memory holds what it held when it was declared.

What is said does not rest on the address alone: after a shuffle in place other rows lie there. The rows that a view
shows are compared with what was kept of the array (:class:`~coverage_audit.sources.held.HeldArray`); once they differ,
addresses say nothing any more of this array, and its rows are told by what they hold. That they differ shows in rows
unlike all others; of rows that equal others see :meth:`HeldArray.still_holds`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.declared import OWN, Declared, Home
from coverage_audit.identity.views import Rows, Seen, rows_shown
from coverage_audit.model.rows import Ints
from coverage_audit.sources.held import Held, HeldArray

Array = npt.NDArray[Any]


class _Place(NamedTuple):
    """Where an array lies in memory, from ``start`` to before ``stop``, all of its rows one after the other."""

    start: int
    stop: int
    shard: int
    held: HeldArray


class HeldViews:
    """Knows where the arrays in memory of a dataset are. Not thread-safe."""

    def __init__(self, declared: Declared, held: Held) -> None:
        self._declared = declared
        self._places = [
            _Place(start, start + array.array.nbytes, shard, array)
            for shard, array in enumerate(held.arrays)
            if array is not None and array.array.flags.c_contiguous and array.array.nbytes
            for start in (_address(array.array),)
        ]
        self._changed: set[int] = set()
        self._tells_twins = True
        self._told: Ints | None = None
        self._turn = 0

    def tell(self, leaf: Array) -> Seen | None:
        """The rows that ``leaf`` shows; None if it is no view of whole or parts of rows, or the memory has changed."""
        shown = self._shown(leaf)
        if shown is None or shown[0].shard in self._changed:
            return None
        place, rows = shown
        here = _slice(rows)
        if not place.held.still_holds(here):
            if place.held.is_taken:
                self._changed.add(place.shard)
            return None
        if place.held.hashes is not None:
            twins = place.held.twins[here]
            if twins.any():
                if not self._tells_twins:
                    return None
                self._note(place, np.arange(place.held.rows)[here][twins])
        return Seen(Home(place.shard, OWN), rows, place.held.rows, place.held.name)

    def whole_rows(self, leaf: Array) -> Array:
        """The whole rows of which ``leaf`` is a view, as they are now; ``leaf`` itself if it is none."""
        shown = self._shown(leaf)
        if shown is None:
            return leaf
        place, rows = shown
        whole = place.held.array[_slice(rows)]
        return np.broadcast_to(whole, (rows.length, *whole.shape[1:])) if rows.step == 0 else whole

    def hand_over(self) -> Ints | None:
        """Of rows that equal others, tell none any more; int64 (ids,): when each of them was told last, 0 for never.

        None if none of them was told.
        """
        self._tells_twins = False
        return self._told

    def _note(self, place: _Place, rows: Ints) -> None:
        if self._told is None:
            self._told = np.zeros(int(self._declared.offsets[-1]), np.int64)
        self._turn += 1
        self._told[rows + self._declared.offsets[place.shard]] = self._turn

    def _shown(self, leaf: Array) -> tuple[_Place, Rows] | None:
        address = _address(leaf)
        for place in self._places:
            if place.start <= address < place.stop and leaf.size:
                rows = rows_shown(leaf, place.start, place.held.row_bytes, place.held.rows)
                if rows is not None:
                    return place, rows
        return None


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _slice(rows: Rows) -> slice:
    """The rows, each once."""
    first, step, length = rows
    if step == 0:
        return slice(first, first + 1)
    stop = first + step * length
    return slice(first, stop if stop >= 0 else None, step)
