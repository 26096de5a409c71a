"""The rows a block of memory holds, shared by all arrays that are views of it.

Which rows a view shows is read off its address and strides, as in :mod:`~coverage_audit.identity.views`, so it does not
matter by which of numpy's many ways the view was made. What is written through any of them is entered here.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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


class Place(NamedTuple):
    """Where in a ledger the leading axes of an array are.

    Entry (i, j, ...) is number ``start + i * steps[0] + j * steps[1] + ...`` for i below ``counts[0]`` and so on.
    ``whole``: each entry is a whole row, its elements in their order and of their type.
    """

    start: int
    steps: tuple[int, ...]
    counts: tuple[int, ...]
    whole: bool


class Ledger:
    """One id per row of a block of memory, in order of the leading axes of the array it was made for.

    Memory: next to nothing until rows are written to or come in no order, then 8 bytes a row.
    """

    __slots__ = (
        "_address",
        "_dtype",
        "_extent",
        "_ids",
        "_row",
        "_row_is_dense",
        "_scattered",
        "_shared",
        "_step",
        "altered",
        "loans",
        "row_bytes",
        "size",
    )

    altered: bool
    """Whether any row may differ from what is in its file."""
    row_bytes: int
    """Bytes of the elements of one row."""
    size: int
    """Number of rows."""
    loans: int
    """How many of the next single numbers read are remembered, see :mod:`~coverage_audit.identity.loans`."""

    def __init__(self, array: Array, known: Known) -> None:
        """``array`` begins with the axes of ``known.lead``. Raises ``ValueError`` if it does not."""
        lead = known.lead
        shape = shape_of(lead)
        m = len(shape)
        if array.shape[:m] != shape:
            raise ValueError(f"an array of shape {array.shape} does not begin with axes of shape {shape}")
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
        self.size = math.prod(shape)
        self._dtype = array.dtype
        self._address = int(array.__array_interface__["data"][0])
        strides = array.strides
        self._row = _without_ones(array.shape[m:], strides[m:])
        self.row_bytes = array.itemsize * math.prod(array.shape[m:])
        self._row_is_dense = _is_dense(self._row, array.itemsize)
        self._extent = array.itemsize
        for n, stride in self._row:
            self._extent += (n - 1) * stride
        # Distance of rows in bytes; 0: views of this memory are not told apart.
        forward = all(stride > 0 for _, stride in self._row)
        self._step = _row_step(shape, strides, self._extent) if array.size and forward else 0
        self._scattered = self._step < self._extent
        if self._scattered and (m != 1 or not _is_unique(self._row, self._step, array.itemsize, self.size)):
            self._step = 0

    def place_of_all(self, shape: tuple[int, ...]) -> Place:
        """The place of the array the ledger was made for; ``shape``: of its lead."""
        steps: tuple[int, ...] = ()
        count = 1
        for n in reversed(shape):
            steps = (count, *steps)
            count *= n
        return Place(0, steps, shape, True)

    def place_of(self, view: Array) -> Place | None:
        """Where the leading axes of a view of this memory are; None if they are not rows one by one."""
        shape, strides, step = view.shape, view.strides, self._step
        if view.size == 0:
            return Place(0, (1,), (0,), False) if shape and shape[0] == 0 else None
        if step == 0:
            return None
        steps = _lead_steps(view, step)
        if self._scattered:
            del steps[max(len(shape) - len(self._row), 0) :]
        low, high = _reach(view, len(steps))
        start, within = divmod(int(view.__array_interface__["data"][0]) - self._address + low, step)
        while len(steps) > 1 and steps[-1] == 0:
            steps.pop()
        m = len(steps)
        row = _without_ones(shape[m:], strides[m:])
        whole = row == self._row and view.itemsize == self._dtype.itemsize
        if self._scattered:
            if not whole or within:
                return None
        elif within + high - low > self._extent:
            return None  # reaches into the next row
        elif not whole and self._row_is_dense:
            whole = high - low == self._extent and _is_dense(row, view.itemsize)
        place = Place(start, tuple(steps), shape[:m], whole and view.dtype == self._dtype)
        return place if self._holds(place) else None

    def _holds(self, place: Place) -> bool:
        """Whether all entries are of this memory."""
        ways = [(n - 1) * step for n, step in zip(place.counts, place.steps, strict=True)]
        first = place.start + sum(way for way in ways if way < 0)
        last = place.start + sum(way for way in ways if way > 0)
        return first >= 0 and last < self.size

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
            ids = _written_out(ids, self.size)
        if not counts:
            return int(ids.item(start))
        self._shared = True
        if len(counts) == 1:
            (step,), (n,) = steps, counts
            if step == 1:
                return ids if n == self.size else ids[start : start + n]
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
        ids = self._ids
        if not isinstance(ids, np.ndarray):
            assert ids is not None
            ids = _written_out(ids, self.size)
        elif self._shared:
            ids = ids.copy()
        self._ids = ids
        self._shared = False
        return ids


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


def _lead_steps(view: Array, step: int) -> list[int]:
    """How many rows of ``step`` bytes one goes on along each axis, up to the first axis within a row."""
    steps = []
    for n, stride in zip(view.shape, view.strides, strict=True):
        if n > 1 and stride % step:
            break
        steps.append(stride // step if n > 1 else 0)
    return steps


def _reach(view: Array, after: int) -> tuple[int, int]:
    """Bytes that the axes from ``after`` on reach before and (with the element itself) behind the first element."""
    low, high = 0, view.itemsize
    for n, stride in zip(view.shape[after:], view.strides[after:], strict=True):
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return low, high


def _without_ones(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(length, stride) of the axes along which there is anywhere to go."""
    return tuple((n, stride) for n, stride in zip(shape, strides, strict=True) if n != 1)


def _is_dense(axes: tuple[tuple[int, int], ...], itemsize: int) -> bool:
    """Whether elements follow each other without a gap, the last axis fastest."""
    expected = itemsize
    for n, stride in reversed(axes):
        if stride != expected:
            return False
        expected *= n
    return True


def _is_unique(row: tuple[tuple[int, int], ...], step: int, itemsize: int, count: int) -> bool:
    """Whether rows ``step`` bytes apart with elements between those of other rows never share a byte."""
    inner = itemsize + sum((n - 1) * stride for n, stride in row if stride < step)
    return inner <= step and all(stride >= step * count for _, stride in row if stride >= step)


def _row_step(shape: tuple[int, ...], strides: tuple[int, ...], extent: int) -> int:
    """Bytes from one row to the next; 0 if rows are not evenly spaced, in order."""
    step, count = 0, 1
    for n, stride in zip(reversed(shape), reversed(strides[: len(shape)]), strict=True):
        if n == 1:
            continue
        if step == 0:
            step = stride
        if stride <= 0 or stride != step * count:
            return 0
        count *= n
    return step or extent
