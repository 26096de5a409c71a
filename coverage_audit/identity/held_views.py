"""Rows of views of arrays in memory, by their address, as far as the memory holds what it held when it was declared.

What is said does not rest on the address alone: after a shuffle in place other rows lie there. The rows that a view
shows are compared with what was kept of the array (:class:`~coverage_audit.sources.held.HeldArray`); once they differ,
addresses say nothing any more of this array, and its rows are told by what they hold.

A row unlike all others is at its place if its bytes are. Rows that equal others, and those too short to be told apart,
would equal them after a shuffle too: they are believed as long as :data:`SAMPLE` rows all over the array are at their
places as well.
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

SAMPLE = 64
"""Rows, of those unlike all others where there are so many."""

WHOLE = 1 << 18
"""Bytes up to which all of an array of short rows must be as it was."""


class _Place(NamedTuple):
    """Where an array lies in memory, from ``start`` to before ``stop``, all of its rows one after the other."""

    start: int
    stop: int
    shard: int
    held: HeldArray


class HeldViews:
    """Knows where the arrays in memory of a dataset are. Not thread-safe.

    Told are arrays in C order, and none that shares its memory with another one: there an address says too little.
    """

    def __init__(self, declared: Declared, held: Held) -> None:
        self._declared = declared
        self._held = held
        self._places = _apart(
            [
                _Place(start, start + array.nbytes, shard, one)
                for shard, one in enumerate(held.arrays)
                if one is not None
                for array in (one.array,)
                for start in (_address(array),)
                if array.flags.c_contiguous and array.nbytes
            ]
        )
        self._changed: set[int] = set()
        self._samples: dict[int, slice | Ints] = {}
        self._tells_twins = True
        self._told: Ints | None = None
        self._turn = 0

    def tell(self, leaf: Array) -> Seen | None:
        """The rows that ``leaf`` shows; None if it is no view of whole or parts of rows, or the memory has changed."""
        shown = self._shown(leaf)
        if shown is None:
            return None
        place, rows = shown
        held = place.held
        if place.shard in self._changed or not held.is_taken:
            return None
        here = _slice(rows)
        if not held.as_declared(here):
            self._changed.add(place.shard)
            return None
        twins = self._held.twins[place.shard][here]
        if held.numbers is not None or twins.any():
            if not self._tells_twins and held.numbers is None:
                return None
            if not held.as_declared(self._sample(place)):
                self._changed.add(place.shard)
                return None
            self._note(place, here, twins)
        return Seen(Home(place.shard, OWN), rows, held.rows, held.name)

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

    def _note(self, place: _Place, here: slice, twins: npt.NDArray[np.bool_]) -> None:
        if not len(twins):
            return
        if self._told is None:
            self._told = np.zeros(int(self._declared.offsets[-1]), np.int64)
        self._turn += 1
        first, stop = self._declared.offsets[place.shard : place.shard + 2].tolist()
        self._told[first:stop][here][twins] = self._turn

    def _sample(self, place: _Place) -> slice | Ints:
        known = self._samples.get(place.shard)
        if known is None:
            known = self._samples[place.shard] = _spread(place.held, self._held.twins[place.shard])
        return known

    def _shown(self, leaf: Array) -> tuple[_Place, Rows] | None:
        address = _address(leaf)
        for place in self._places:
            if place.start <= address < place.stop and leaf.size and _address(place.held.array) == place.start:
                rows = rows_shown(leaf, place.start, place.held.row_bytes, place.held.rows)
                if rows is not None:
                    return place, rows
        return None


def _spread(held: HeldArray, twins: npt.NDArray[np.bool_]) -> slice | Ints:
    """The rows that are looked at in place of all of them."""
    if held.rows <= SAMPLE or (held.numbers is not None and held.numbers.nbytes <= WHOLE):
        return slice(None)
    every = np.arange(held.rows)
    single = every if held.numbers is not None else np.flatnonzero(~twins)
    every = single if len(single) >= SAMPLE else every
    return every[np.linspace(0, len(every) - 1, SAMPLE).astype(np.int64)]


def _apart(places: list[_Place]) -> list[_Place]:
    return [
        one
        for one in places
        if all(one is other or one.stop <= other.start or other.stop <= one.start for other in places)
    ]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _slice(rows: Rows) -> slice:
    """The rows, each once."""
    first, step, length = rows
    if step == 0:
        return slice(first, first + 1)
    stop = first + step * length
    return slice(first, stop if stop >= 0 else None, step)
