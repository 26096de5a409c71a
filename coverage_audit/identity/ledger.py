"""The rows a block of memory holds, shared by all arrays that are views of it.

Which of them a view shows is told by where it lies (:mod:`~coverage_audit.identity.layout`). What is written through
any view is entered here.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.layout import Layout, Place
from coverage_audit.identity.leads import (
    AT_MOST,
    BLANK,
    UNKNOWN,
    Known,
    Lead,
    TooManyError,
    blank,
    dense,
    lead_of_ids,
    merge,
    same,
    shape_of,
    shifted,
)
from coverage_audit.identity.shadows import Span, Windows, ids_of
from coverage_audit.model.rows import Ints

Array = npt.NDArray[Any]

PART = 4
"""Of more than one in so many rows the ids are handed out as they are; of fewer they are copied."""
ALONE = 2
"""References to an object that nobody else has: the attribute's, and the one that counting takes."""


class Ledger:
    """One id per row of a block of memory, in order of the leading axes of the array it was made for.

    Memory: next to nothing until rows are written to or come in no order, then 8 bytes a row.
    """

    __slots__ = ("_ids", "_shared", "altered", "layout", "loans")

    layout: Layout
    altered: bool
    """Whether any row may differ from what is in its file."""
    loans: int
    """How many of the next single numbers read are remembered, see :mod:`~coverage_audit.identity.loans`."""

    def __init__(self, array: Array, known: Known) -> None:
        """``array`` begins with the axes of ``known.lead``. Raises ``ValueError`` if it does not."""
        lead = known.lead
        shape = shape_of(lead)
        m = len(shape)
        if array.shape[:m] != shape:
            raise ValueError(f"an array of shape {array.shape} does not begin with axes of shape {shape}")
        self.layout = Layout(array, m)
        self.altered = known.altered
        self.loans = 0
        self._ids: Span | Windows | Ints | None
        if isinstance(lead, int):
            self._ids = Span(lead, 0 if lead < 0 else 1, 1)
        elif isinstance(lead, np.ndarray):
            self._ids = lead.reshape(-1)
        else:
            self._ids = lead
        self._shared = True  # the ids may be another ledger's too: a copy is made before the first change

    def place_of(self, view: Array) -> Place | None:
        """Where the leading axes of a view of this memory are; None if they are not rows one by one."""
        return self.layout.place_of(view)

    def look(self, place: Place) -> Lead | None:
        """The lead of the array at this place; None if nothing is known of this memory any more."""
        start, steps, counts, _ = place
        ids = self._ids
        if ids is None:
            return None
        if 0 in counts:
            return np.empty(counts, np.int64)
        if isinstance(ids, Span):
            return _of_span(ids, start, steps, counts)
        if isinstance(ids, Windows):
            lead = _of_windows(ids, start, steps, counts)
            if lead is not None:
                return lead
            ids = _written_out(ids, self.layout.size)
        if not counts:
            return int(ids.item(start))
        if PART * math.prod(counts) <= self.layout.size:
            return _region(ids, start, steps, counts).copy()
        self._shared = True
        if len(counts) == 1:
            (step,), (n,) = steps, counts
            if step == 1:
                return ids if n == self.layout.size else ids[start : start + n]
        return _region(ids, start, steps, counts)

    def write(self, place: Place, lead: Lead | None, *, partly: bool = False) -> None:
        """Rows were written here; ``lead`` fits ``place.counts`` as numpy broadcasts, None: of no known row.

        ``partly``: only over some of their elements, so a row stays what it was unless another one is mixed in.
        """
        if self._ids is None or 0 in place.counts:
            return
        if partly:
            self.altered = True
            if lead is None:
                return
            here = self.look(place)
            assert here is not None
            if shape_of(lead) != place.counts:
                lead = lead_of_ids(np.broadcast_to(dense(lead), place.counts))
            mixed = merge(here, lead)
            if mixed is None or same(mixed, here):
                return
            lead = mixed
        elif lead is not None and shape_of(lead) == place.counts:
            here = self.look(place)
            if here is not None and same(lead, here):
                return
        ids = self._own_ids()
        if lead is None:
            value: int | Ints = UNKNOWN
        else:
            value = lead if isinstance(lead, int) else dense(lead)
        if not place.counts:
            ids[place.start] = value
        else:
            _region(ids, place.start, place.steps, place.counts)[...] = value

    def row_id(self, number: int) -> int:
        """The id of one row, by its number."""
        ids = self._ids
        if isinstance(ids, np.ndarray):
            return int(ids.item(number))
        lead = self.look(Place(number, (), (), True))
        return lead if isinstance(lead, int) else UNKNOWN

    def write_row(self, number: int, row_id: int) -> None:
        """One whole row was written, of this id."""
        ids = self._ids
        if isinstance(ids, np.ndarray) and not self._shared:
            ids[number] = row_id
        else:
            self.write(Place(number, (), (), True), row_id)

    def write_at(self, places: Ints, lead: Lead | None) -> None:
        """Whole rows were written to these numbers; ``lead`` fits as numpy broadcasts, None: of no known row."""
        if self._ids is not None:
            self._own_ids()[places] = UNKNOWN if lead is None else dense(lead)

    def spoil(self) -> None:
        """Nothing is known of this memory from now on."""
        self._ids = None
        self.altered = True

    def _own_ids(self) -> Ints:
        """The ids one by one, to be changed."""
        assert self._ids is not None
        if not isinstance(self._ids, np.ndarray):
            self._ids = _written_out(self._ids, self.layout.size)
        elif self._shared and (self._ids.base is not None or sys.getrefcount(self._ids) > ALONE):
            self._ids = self._ids.copy()
        self._shared = False
        return self._ids


def positions(place: Place) -> Ints:
    """The numbers of all entries, in the shape of the lead. Raises :class:`TooManyError`."""
    if math.prod(place.counts) > AT_MOST:
        raise TooManyError(place.counts)
    return _affine(place.start, place.steps, place.counts)


def _affine(start: int, steps: tuple[int, ...], counts: tuple[int, ...]) -> Ints:
    out = np.array(start, np.int64)
    for step, n in zip(steps, counts, strict=True):
        out = np.asarray(out[..., None] + step * np.arange(n, dtype=np.int64))
    return out


def _written_out(ids: Span | Windows, size: int) -> Ints:
    if size > AT_MOST:
        raise TooManyError(size)
    return ids_of(ids)


def _region(ids: Ints, start: int, steps: tuple[int, ...], counts: tuple[int, ...]) -> Ints:
    """A view of flat ids."""
    return np.ndarray(counts, np.int64, buffer=ids, offset=8 * start, strides=tuple(8 * step for step in steps))


def _of_span(span: Span, start: int, steps: tuple[int, ...], counts: tuple[int, ...]) -> Lead:
    first, step, _ = span
    first += step * start
    if not counts:
        return first
    if first < 0:  # unknown or blank: the same for all
        return blank(counts) if first == BLANK else np.full(counts, UNKNOWN, np.int64)
    if len(counts) == 1:
        return Span(first, step * steps[0], counts[0])
    if math.prod(counts) > AT_MOST and len(counts) > 2:
        raise TooManyError(counts)
    if len(counts) == 2 and (step * steps[1] == 1 or counts[1] == 1):
        return Windows(_affine(first, (step * steps[0],), counts[:1]), counts[1])
    return _affine(first, tuple(step * s for s in steps), counts)


def _of_windows(windows: Windows, start: int, steps: tuple[int, ...], counts: tuple[int, ...]) -> Lead | None:
    """The lead at this place among windows one after the other; None if it takes every id to say."""
    firsts, length = windows
    if length == 0:
        return None
    at, off = divmod(start, length)
    if not counts:
        return UNKNOWN if firsts[at] < 0 else int(firsts[at]) + off
    if len(counts) == 1 and 0 <= off + steps[0] * (counts[0] - 1) < length:
        first = int(firsts[at])
        return Span(UNKNOWN, 0, counts[0]) if first < 0 else Span(first + off, steps[0], counts[0])
    if steps[0] % length or len(counts) > 2:
        return None
    chosen = Windows(firsts[at + steps[0] // length * np.arange(counts[0])], length)
    if len(counts) == 1:
        return shifted(chosen, off, 1).firsts
    if steps[1] == 1 and off + counts[1] <= length:
        return shifted(chosen, off, counts[1])
    return None
