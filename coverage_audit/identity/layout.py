"""Which rows a view shows, told by its address and strides, by whatever of numpy's many ways it was made.

As in :mod:`~coverage_audit.identity.views`, but for any block of memory, and for rows along several axes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy.typing as npt

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


class Layout:
    """Where the rows of an array lie in its memory. ``axes``: how many leading axes of ``array`` count rows."""

    __slots__ = ("_address", "_dtype", "_extent", "_row", "_row_is_dense", "_scattered", "_step", "row_bytes", "size")

    row_bytes: int
    """Bytes of the elements of one row."""
    size: int
    """Number of rows."""

    def __init__(self, array: Array, axes: int) -> None:
        shape, strides = array.shape, array.strides
        self.size = math.prod(shape[:axes])
        self.row_bytes = array.itemsize * math.prod(shape[axes:])
        self._dtype = array.dtype
        self._address = int(array.__array_interface__["data"][0])
        self._row = _without_ones(shape[axes:], strides[axes:])
        self._row_is_dense = _is_dense(self._row, array.itemsize)
        self._extent = array.itemsize
        for n, stride in self._row:
            self._extent += (n - 1) * stride
        # Distance of rows in bytes; 0: views of this memory are not told apart.
        forward = all(stride > 0 for _, stride in self._row)
        self._step = _row_step(shape[:axes], strides, self._extent) if array.size and forward else 0
        # Elements of other rows lie between those of one, as in Fortran order.
        self._scattered = self._step < self._extent
        if self._scattered and (axes != 1 or not _is_unique(self._row, self._step, array.itemsize, self.size)):
            self._step = 0

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


def place_of_all(shape: tuple[int, ...]) -> Place:
    """The place of the array itself, whose leading axes have this shape."""
    steps: tuple[int, ...] = ()
    count = 1
    for n in reversed(shape):
        steps = (count, *steps)
        count *= n
    return Place(0, steps, shape, True)


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
