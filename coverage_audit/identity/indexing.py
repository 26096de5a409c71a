"""Fancy indexing: which rows ``array[key]`` copies, and which rows ``array[key] = ...`` writes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.leads import AT_MOST, Known, Lead, cut, dense, lead_of_ids, narrow, pick, shape_of
from coverage_audit.model.rows import Ints

Shape = tuple[int, ...]
_ALL = slice(None)


def known_of_copy(known: Known, shape: Shape, key: Any, out_shape: Shape) -> Known | None:
    """What ``array[key]`` knows, for a key with at least one list or array in it; None if that cannot be told.

    ``known``, ``shape``: of the array. ``out_shape``: of the result.
    """
    lead = known.lead
    if isinstance(lead, int):  # part of one row, however it is cut
        return Known(lead, True)
    if not isinstance(key, tuple):
        index = _as_index(key)
        if index is None:
            return None
        part = index.dtype == np.bool_ and index.ndim > len(shape_of(lead))
        return Known(pick(lead, index), known.altered or part)
    items = _spelled_out(key, len(shape))
    if items is None:
        return None
    part = known.altered or not _takes_whole_rows(items[len(shape_of(lead)) :])
    arrays = [item for item in items if not isinstance(item, slice)]
    first = items[0]
    if isinstance(first, np.ndarray) and first.dtype != np.bool_:
        if len(arrays) == 1:
            inner = shape_of(lead)[1:]
            taken = pick(lead, first)
            # The axes after the first stay where they are, behind those of the index.
            if first.ndim == 1:
                return Known(narrow(taken, items[1:]), part)
            return Known(taken, part) if not inner else None
        if len(shape_of(lead)) == 1:
            return Known(_of_broadcast(lead, first, arrays), True)
    elif isinstance(first, slice) and len(shape_of(lead)) == 1 and _stay_in_place(items):
        return Known(cut(lead, first), True)
    found = _simulated(lead, shape, items, out_shape)
    return None if found is None else Known(found, True)


class Written(NamedTuple):
    """``entries``: which, as an index into the leading axes. ``partly``: only some elements of each."""

    entries: npt.NDArray[Any]
    partly: bool


def entries_written(shape: Shape, axes: int, key: Any) -> Written | None:
    """Which entries of the first ``axes`` axes a fancy key writes to; None if that cannot be told."""
    if not isinstance(key, tuple):
        index = _as_index(key)
        if index is None:
            return None
        if index.dtype == np.bool_ and index.ndim > axes:
            return Written(np.asarray(index.any(axis=tuple(range(axes, index.ndim)))), True) if axes else None
        return Written(index, False) if axes else None
    items = _spelled_out(key, len(shape))
    if axes != 1 or items is None:
        return None
    first = items[0]
    if not isinstance(first, np.ndarray) or first.dtype == np.bool_:
        return None
    rest = items[1:]
    if any(isinstance(item, np.ndarray) and item.ndim for item in rest):
        return Written(first.reshape(-1), True)
    whole = all(
        isinstance(item, slice) and len(range(*item.indices(n))) == n for item, n in zip(rest, shape[1:], strict=True)
    )
    return Written(first, not whole)


def _as_index(key: Any) -> npt.NDArray[Any] | None:
    """A list or an array as numpy takes it in an index."""
    if isinstance(key, list) and not key:
        return np.empty(0, np.int64)
    index = np.asarray(key)
    return index if index.dtype.kind in "iub" else None


def _spelled_out(key: tuple[Any, ...], ndim: int) -> list[Any] | None:
    """One item per axis, a slice or an array of integers (0-d for a number); None for new axes and wide masks."""
    items: list[Any] = []
    for item in key:
        if item is None or isinstance(item, bool | np.bool_):
            return None
        if item is Ellipsis or isinstance(item, slice):
            items.append(item)
            continue
        index = _as_index(item)
        if index is None or (index.dtype == np.bool_ and index.ndim != 1):
            return None
        items.append(index.nonzero()[0] if index.dtype == np.bool_ else index)
    missing = ndim - sum(item is not Ellipsis for item in items)
    dots = [at for at, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1 or missing < 0:
        return None
    at = dots[0] if dots else len(items)
    return [*items[:at], *[_ALL] * missing, *items[at + len(dots) :]]


def _takes_whole_rows(items: list[Any]) -> bool:
    return all(isinstance(item, slice) and item == _ALL for item in items)


def _stay_in_place(items: list[Any]) -> bool:
    """Whether the arrays in a key stand side by side, so that the axes before them stay first."""
    at = [i for i, item in enumerate(items) if not isinstance(item, slice)]
    return bool(at) and at[0] > 0 and at[-1] - at[0] == len(at) - 1


def _of_broadcast(lead: Lead, first: npt.NDArray[Any], arrays: list[npt.NDArray[Any]]) -> Lead:
    """The first axis and others are indexed by arrays: their common shape comes first in the result."""
    common = np.broadcast_shapes(*(array.shape for array in arrays))
    ids = np.asarray(dense(pick(lead, first)))
    ids = ids.reshape((1,) * (len(common) - ids.ndim) + ids.shape)
    axes = len(common)
    while axes > 1 and ids.shape[axes - 1] == 1:
        axes -= 1
    ids = ids.reshape(ids.shape[:axes])
    return lead_of_ids(np.broadcast_to(ids, common[:axes]).copy())


def _simulated(lead: Lead, shape: Shape, items: list[Any], out_shape: Shape) -> Lead | None:
    """Index the ids themselves, one copy per element; None for too many elements, or none."""
    m = len(shape_of(lead))
    if not out_shape or not 0 < math.prod(out_shape) <= AT_MOST >> 4:
        return None
    ids = dense(lead)
    ids = np.broadcast_to(ids.reshape(ids.shape + (1,) * (len(shape) - m)), shape)[tuple(items)]
    if ids.shape != out_shape:
        return None
    axes = 1
    while True:
        entry: Ints = ids[(..., *[slice(1)] * (ids.ndim - axes))]
        if (ids == entry).all():
            return entry.reshape(out_shape[:axes]).copy()
        axes += 1
