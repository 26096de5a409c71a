"""What a tracked array keeps: a ledger of rows, and where in it the array is. Asking it, and giving it one.

What is entered here about rows cannot fail for the user. Where entering it fails, nothing is known of the rows, and
:data:`STUMBLES` keeps why.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.elementwise import widens
from coverage_audit.identity.layout import place_of_all
from coverage_audit.identity.leads import UNKNOWN, Known, TooManyError, public, shape_of
from coverage_audit.identity.ledger import Ledger
from coverage_audit.identity.loans import known_of_number
from coverage_audit.identity.reads import READS
from coverage_audit.identity.writing import Rows, enter_unknown

Array = npt.NDArray[Any]

STUMBLES: deque[str] = deque(maxlen=16)
"""Why rows were not followed, where that was not foreseen: the last tracebacks."""


class LostRowsError(Exception):
    """An array shows rows that are known, but not row by row: it is no constant, so it spoils what it is mixed into."""


_FORESEEN = (TooManyError, LostRowsError, IndexError)
"""The last: functions called by the names of all their arguments."""

_put = object.__setattr__


class Remembering:
    """The mark of arrays that may know rows; ``_rows`` None: ask what they are views of."""

    _rows: Rows | None = None
    _ordinary: ClassVar[type[np.ndarray[Any, Any]]]
    """The class of all such arrays but memory maps of whole files."""
    _is_root: ClassVar[bool] = False
    """Whether arrays of this class are memory maps, so that taking values out of them is reading a file."""


def known_of(thing: Any) -> Known | None:
    """What an array knows of its rows; None for anything else, and where nothing is known."""
    if not isinstance(thing, Remembering):
        return None
    rows = thing._rows or find_rows(thing)
    if rows is None:
        return None
    ledger, place = rows
    if place is None:
        return None
    lead = ledger.look(place)
    return None if lead is None else Known(lead, ledger.altered or not place.whole)


def ask(thing: Any) -> Known | None:
    """What an argument of an operation knows; None if it is a constant. Raises :class:`LostRowsError`."""
    known = known_of(thing)
    if known is None and isinstance(thing, Remembering) and find_rows(thing) is not None:
        raise LostRowsError
    return known


def known_of_value(thing: Any) -> Known | None:
    """As :func:`ask`, of what has been written somewhere."""
    if isinstance(thing, np.number):
        return known_of_number(thing)
    try:
        return ask(thing)
    except LostRowsError:
        return Known(UNKNOWN, altered=True)


def find_rows(array: Any) -> Rows | None:
    """The ledger of the memory that an array shows, and where in it; None if there is no ledger."""
    rows: Rows | None = array._rows
    if rows is None:
        ledger = ledger_of(array)
        if ledger is not None:
            rows = (ledger, ledger.place_of(array))
            _put(array, "_rows", rows)
    return rows


def ledger_of(array: Any) -> Ledger | None:
    """The ledger of the memory that an array shows, its own or that of what it is a view of."""
    while isinstance(array, np.ndarray):
        if isinstance(array, Remembering) and array._rows is not None:
            return array._rows[0]
        array = array.base
    return None


def remember(array: Array, known: Known | None) -> Array:
    """``array``, which has memory of its own, as one that knows this of its rows."""
    if known is None or type(array) is not np.ndarray or array.dtype.hasobject:
        return array
    out = array.view(Remembering._ordinary)
    ledger = Ledger(array, known)
    _put(out, "_rows", (ledger, place_of_all(shape_of(known.lead))))
    return out


def bare(thing: Any) -> Any:
    """A tracked array as an ordinary one of the same memory, also inside lists and tuples; anything else as it is."""
    if isinstance(thing, Remembering):
        return thing.view(np.ndarray)  # type: ignore[attr-defined]
    kind = type(thing)
    if (kind is list or kind is tuple) and _holds_tracked(thing):
        return kind([bare(one) for one in thing])
    return thing


def copied(source: Any, result: Array) -> Array:
    """``result`` holds the entries of ``source``, perhaps in another type."""
    try:
        if READS.listeners:
            tell_reads((source,))
        known = known_of(source)
        if known is not None:
            return remember(result, Known(known.lead, known.altered or not widens(source.dtype, result.dtype)))
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)
    return result


def written(array: Any, along: Any = None) -> None:
    """Something was written into an array; ``along``: only within entries, if this axis is inside them."""
    rows = find_rows(array) if isinstance(array, Remembering) else None
    if rows is None:
        return
    ledger, place = rows
    try:
        if place is not None and along is not None and along % array.ndim >= len(place.counts):
            ledger.altered = True
        else:
            enter_unknown(rows)
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        ledger.spoil()
        stumble(error)


def forget_record(array: Any, record: Any) -> None:
    """A record of an array of records shows its memory: what is written through it is not seen, so its row is lost."""
    try:
        rows = find_rows(array) if record.flags.writeable else None
        if rows is not None:
            ledger = rows[0]
            place = ledger.place_of(np.asarray(record))
            if place is None:
                ledger.spoil()
            else:
                ledger.write(place, None)
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        spoil(array)
        stumble(error)


def remember_view(result: Array, source: Any) -> Array:
    """A view that numpy made of the memory of ``source``."""
    rows = find_rows(source)
    if rows is None or result.dtype.hasobject:
        return result
    out = result.view(Remembering._ordinary)
    _put(out, "_rows", (rows[0], rows[0].place_of(result)))
    return out


def _holds_tracked(things: Any) -> bool:
    for one in things:
        if isinstance(one, Remembering):
            return True
        kind = type(one)
        if (kind is list or kind is tuple) and _holds_tracked(one):
            return True
    return False


def tracked_in(things: Any) -> Iterator[Any]:
    for one in things:
        if isinstance(one, Remembering):
            yield one
        elif type(one) is list or type(one) is tuple:
            yield from tracked_in(one)


def stumble(error: Exception) -> None:
    if not isinstance(error, _FORESEEN):
        STUMBLES.append("".join(traceback.format_exception(error)))


def spoil(thing: Any) -> None:
    """Nothing is known any more of the memory that an array shows."""
    ledger = ledger_of(thing) if isinstance(thing, Remembering) else None
    if ledger is not None:
        ledger.spoil()


def tell_reads(things: Iterable[Any], *, derived: bool = False) -> None:
    """Rows of these were read, as far as they are roots (or, ``derived``, were just read from one)."""
    for one in things:
        if isinstance(one, Remembering) and (derived or one._is_root):
            rows = one._rows or find_rows(one)
            lead = None if rows is None or rows[1] is None else rows[0].look(rows[1])
            if isinstance(lead, int):
                READS.tell_row(lead)
            elif isinstance(lead, np.ndarray) and lead.ndim == 1:
                READS.tell(lead)  # as they are: a ledger copies ids that it has shown before it changes them
            elif lead is not None and (shadow := public(lead)) is not None:
                READS.tell(shadow)
