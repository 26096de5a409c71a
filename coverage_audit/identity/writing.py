"""What ``array[key] = value`` does to the rows in the memory of the array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.elementwise import widens
from coverage_audit.identity.indexing import entries_written
from coverage_audit.identity.layout import Place
from coverage_audit.identity.leads import UNKNOWN, Known, Lead, dense, shape_of
from coverage_audit.identity.ledger import Ledger, positions

Array = npt.NDArray[Any]
Rows = tuple[Ledger, Place | None]
"""A ledger, and where in it an array is; None: somewhere, but not row by row."""


def enter(rows: Rows, array: Array, key: Any, value: Any, known: Known | None) -> None:
    """Enter a write that has been done; ``known``: what the value knows.

    Rows that are overwritten as a whole become those of the value. Where only a part of a row is overwritten, by
    values without rows, the row remains, altered.
    """
    ledger, place = rows
    if place is not None and place.whole:
        number = _row_written(place, key)
        if number is not None and (known is None or type(known.lead) is int):
            return _enter_row(ledger, number, array, value, known)
    if _is_basic(key):
        items = key if isinstance(key, tuple) else (key,)
        view = array.view(np.ndarray)[items if Ellipsis in items else (*items, Ellipsis)]
        if view.size == 0:
            return None
        found = ledger.place_of(view)
        if found is None:
            return ledger.spoil()
        return _enter_at(ledger, found, view.shape, view.dtype, value, known)
    return _enter_fancy(ledger, place, array, key, value, known)


def move_row(rows: Rows, array: Array, key: Any, source: Rows, value: Array) -> bool:
    """Enter that one whole row was written over another one of the same type, if that is all: what a shuffle does."""
    ledger, place = rows
    from_ledger, from_place = source
    if place is None or from_place is None or from_place.counts or not (place.whole and from_place.whole):
        return False
    number = _row_written(place, key)
    if number is None or (from_ledger.altered and not ledger.altered):
        return False
    if value.dtype is not array.dtype or value.nbytes != ledger.layout.row_bytes:
        return False
    ledger.write_row(number, from_ledger.row_id(from_place.start))
    return True


def _row_written(place: Place, key: Any) -> int | None:
    """The number of the one row that a key is for, if that is plain to see: ``x[3]``, ``x[3, ...]``, ``row[...]``."""
    if key is Ellipsis:
        return None if place.counts else place.start
    if type(key) is tuple and len(key) == 2 and key[1] is Ellipsis:
        key = key[0]
    if type(key) is not int or len(place.counts) != 1:
        return None
    return place.start + place.steps[0] * (key if key >= 0 else key + place.counts[0])


def _enter_row(ledger: Ledger, number: int, array: Array, value: Any, known: Known | None) -> None:
    """A write into all of one row: what a shuffle does."""
    if known is None:
        return ledger.write_row(number, UNKNOWN)
    if not ledger.altered:
        same_type = value.dtype is array.dtype or widens(value.dtype, array.dtype)
        ledger.altered = known.altered or not same_type or value.size * array.itemsize != ledger.layout.row_bytes
    assert isinstance(known.lead, int)
    return ledger.write_row(number, known.lead)


def enter_unknown(rows: Rows) -> None:
    """Anything may have been written anywhere into an array."""
    ledger, place = rows
    ledger.altered = True
    if place is None:
        ledger.spoil()
    else:
        ledger.write(place, None)


def _enter_at(
    ledger: Ledger, place: Place, shape: tuple[int, ...], dtype: np.dtype[Any], value: Any, known: Known | None
) -> None:
    """A write into all of a view, which has this place, shape and type."""
    m = len(place.counts)
    covered = place.whole or math.prod(shape[m:]) * dtype.itemsize == ledger.layout.row_bytes
    if known is None:
        return ledger.write(place, None, partly=not covered)
    lead = known.lead
    inner = len(shape_of(lead))
    if not (
        covered
        and place.whole
        and not known.altered
        and value.shape[inner:] == shape[m:]
        and (value.dtype == dtype or widens(value.dtype, dtype))
    ):
        ledger.altered = True
    if isinstance(lead, int) and not m:
        return ledger.write(place, lead, partly=not covered)
    fitting = _fitting(lead, value.ndim - inner, place.counts, len(shape) - m)
    return ledger.write(place, fitting, partly=not covered and fitting is not None)


def _fitting(lead: Lead, inner: int, counts: tuple[int, ...], row_axes: int) -> Lead | None:
    """The lead of a value as that of what it was written to; None if its rows do not go to entries one by one.

    ``inner``, ``row_axes``: how many axes the entries of either have.
    """
    shape = shape_of(lead)
    if math.prod(shape) == 1 and math.prod(counts) == 1:
        return int(dense(lead).reshape(-1)[0])
    return lead if inner == row_axes and len(shape) <= len(counts) else None


def _enter_fancy(ledger: Ledger, place: Place | None, array: Array, key: Any, value: Any, known: Known | None) -> None:
    if place is None:
        return ledger.spoil()
    m = len(place.counts)
    written = entries_written(array.shape, m, key)
    if written is None:
        return enter_unknown((ledger, place))
    entries, partly = written
    if entries.dtype == np.bool_ and m == 1:
        entries = entries.nonzero()[0]
    if m == 1:
        numbers = place.start + place.steps[0] * np.where(entries < 0, entries + place.counts[0], entries)
    else:
        numbers = positions(place)[entries]
    if partly or known is None or known.altered or not place.whole:
        ledger.altered = True
    if partly:
        return ledger.write_at(numbers, None) if known is not None else None
    if known is None:
        return ledger.write_at(numbers, None)
    inner = len(shape_of(known.lead))
    if value.shape[inner:] != array.shape[m:] or not widens(value.dtype, array.dtype):
        ledger.altered = True
    lead = _fitting(known.lead, value.ndim - inner, numbers.shape, array.ndim - m)
    return ledger.write_at(numbers, lead)


def _is_basic(key: Any) -> bool:
    items = key if isinstance(key, tuple) else (key,)
    return all(
        item is None or item is Ellipsis or type(item) in {int, slice} or isinstance(item, np.integer) for item in items
    )
