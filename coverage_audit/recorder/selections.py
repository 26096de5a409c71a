"""Which rows a selection takes out of an array in a store: h5py and zarr follow the same rules along the first axis."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from coverage_audit.identity.origins import Origin
from coverage_audit.identity.shadows import Shadow, Span
from coverage_audit.model.rows import Ints


def rows_selected(selection: Any, n_axes: int, origin: Origin) -> Shadow | None:
    """The rows behind each entry of the result's first axis, as ids; 0-d where one row was picked and its axis is gone.

    Every axis is selected by itself (a whole number, a slice, a list, a mask). None for anything else.
    """
    selector = _first_axis(selection if isinstance(selection, tuple) else (selection,), n_axes)
    base, rows = origin.base, origin.rows
    if isinstance(selector, slice):
        start, stop, step = selector.indices(rows)
        return Span(base + start, step, len(range(start, stop, step)))
    if isinstance(selector, (list, np.ndarray, range)):
        numbers = _numbers(np.asarray(selector), rows)
        return None if numbers is None else base + numbers
    if isinstance(selector, bool):
        return None
    try:
        row = operator.index(selector)
    except TypeError:  # a region reference, a block of hyperslabs, a name
        return None
    return np.array(base + (row + rows if row < 0 else row), np.int64)


def rows_at(coordinates: Any, origin: Origin) -> Shadow | None:
    """The rows of single values: ``coordinates`` are their numbers per axis, or a mask of the whole array."""
    if not isinstance(coordinates, tuple):
        coordinates = (coordinates,)
    parts = [np.asarray(part) for part in coordinates]
    if len(parts) == 1 and parts[0].dtype == np.bool_:
        parts = list(np.nonzero(parts[0]))
    first = np.broadcast_arrays(*parts)[0]
    numbers = _numbers(first, origin.rows) if first.ndim == 1 else None
    return None if numbers is None else origin.base + numbers


def whole(origin: Origin) -> Span:
    """Every row, in order."""
    return Span(origin.base, 1, origin.rows)


def _first_axis(selectors: tuple[Any, ...], n_axes: int) -> Any:
    """What selects along the first axis; None if that cannot be told."""
    if n_axes == 0:
        return None
    dots = [at for at, selector in enumerate(selectors) if selector is Ellipsis]
    if not selectors or dots == [0]:
        rest = selectors[1:]
        if len(rest) < n_axes:
            return None if any(_takes_more(selector) for selector in rest) else slice(None)
        selectors = rest
    if len(dots) > 1 or any(_takes_more(selector) for selector in selectors):
        return None
    return selectors[0]


def _takes_more(selector: Any) -> bool:
    """Whether a selector is no matter of one axis: a new axis, or an array of several."""
    return selector is None or (isinstance(selector, np.ndarray) and selector.ndim > 1)


def _numbers(selector: np.ndarray[Any, Any], rows: int) -> Ints | None:
    if selector.ndim != 1:
        return None
    if selector.dtype == np.bool_:
        return np.flatnonzero(selector).astype(np.int64) if len(selector) == rows else None
    if not selector.size:
        return np.empty(0, np.int64)
    if selector.dtype.kind not in "iu":
        return None
    numbers = selector.astype(np.int64)
    return np.where(numbers < 0, numbers + rows, numbers)
