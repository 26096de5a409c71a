"""The two classes of arrays that carry their rows along: tracked arrays, and memory maps of whole files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.hooked import Hooked
from coverage_audit.identity.indexing import known_of_copy
from coverage_audit.identity.layout import Place
from coverage_audit.identity.ledger import Ledger
from coverage_audit.identity.loans import lend
from coverage_audit.identity.reads import READS
from coverage_audit.identity.remembering import (
    Remembering,
    bare,
    forget_record,
    known_of,
    remember,
    stumble,
    tell_reads,
)
from coverage_audit.identity.writing import Rows

Array = npt.NDArray[Any]

_get = np.ndarray.__getitem__
_set = np.ndarray.__setitem__
_put = object.__setattr__
_new = tuple.__new__  # a named tuple's own takes twice as long
_INTEGERS = frozenset((np.int64, np.int32, np.intp, np.uint64, np.uint32, np.int16, np.uint16, np.int8, np.uint8))


class TrackedArray(Hooked, np.ndarray[Any, Any]):
    """An ordinary array in all but its memory of rows."""

    def __getitem__(self, key: Any) -> Any:
        out = _get(self, key)
        if type(out) is not TrackedArray:  # a scalar
            rows = self._rows
            if rows is not None and rows[0].loans:
                _lend(rows, key, out)
            if isinstance(out, np.void):
                forget_record(self, out)
            return out
        kind = type(key)
        if kind is int or kind is slice or kind in _INTEGERS:
            rows = self._rows
            if rows is not None:
                _put(out, "_rows", _cut(rows, key))
            return out
        if kind is tuple and len(key) == 2 and type(key[0]) is int and key[1] is Ellipsis:
            rows = self._rows
            if rows is not None:
                _put(out, "_rows", _cut(rows, key[0]))
            return out
        base = out.base
        if base is self or (base is not None and base is self.base):
            return out
        return _picked(self, key, out)

    def __getattr__(self, name: str) -> Any:
        # A view of a memory map is a memory map in numpy.
        if name in {"filename", "offset", "mode", "flush"}:
            base = self.base
            while isinstance(base, np.ndarray):
                if isinstance(base, np.memmap):
                    return getattr(base, name)
                base = base.base
        raise AttributeError(f"'numpy.ndarray' object has no attribute '{name}'")


class TrackedMemmap(Hooked, np.memmap[Any, Any]):
    """The memory map of a whole file, or what numpy makes a memory map out of it. Reading rows is told."""

    _is_root = True

    def __getitem__(self, key: Any) -> Any:
        view = self.view(TrackedArray)
        out = _get(view, key)
        try:
            rows = self._rows
            kind = type(key)
            if type(out) is not TrackedArray:
                if READS.listeners and rows is not None:
                    _tell_scalar(rows, key)
                if isinstance(out, np.void):
                    forget_record(self, out)
                return out
            if kind is int or kind is slice or kind in _INTEGERS:
                if rows is not None:
                    cut = _cut(rows, key)
                    _put(out, "_rows", cut)
                    if cut is not None and not cut[1].counts:
                        if READS.listeners:
                            READS.tell_row(cut[0].row_id(cut[1].start))
                        return out
            elif out.base is not view and not (out.base is not None and out.base is view.base):
                out = _picked(self, key, out)
            if READS.listeners:
                tell_reads((out,), derived=True)
        except Exception as error:  # noqa: BLE001 - as in __setitem__
            stumble(error)
        return out


Remembering._ordinary = TrackedArray
for _kind, _name in ((TrackedArray, "ndarray"), (TrackedMemmap, "memmap")):
    # Some collators look at these names to tell arrays from other things.
    _kind.__module__ = "numpy"
    _kind.__name__ = _kind.__qualname__ = _name


def _cut(rows: Rows, key: Any) -> tuple[Ledger, Place] | None:
    """The rows of ``array[key]`` for a number or a slice, where they are reckoned without looking at the memory."""
    ledger, place = rows
    if place is None or len(place.counts) != 1:
        return None
    start, (step,), (n,), whole = place
    if type(key) is not slice:
        at = int(key)
        return ledger, _new(Place, (start + step * (at if at >= 0 else at + n), (), (), whole))
    first, stop, by = key.indices(n)
    return ledger, Place(start + step * first, (step * by,), (len(range(first, stop, by)),), whole)


def _lend(rows: Rows, key: Any, number: Any) -> None:
    try:
        if type(key) is int and rows[1] is not None:
            lend(rows[0], rows[1], key, number)
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)


def _picked(source: Any, key: Any, out: Any) -> Any:
    """What a fancy index has copied out of ``source``, with its rows."""
    plain: Array = out.view(np.ndarray)
    try:
        known = known_of(source)
        if known is not None and not np.may_share_memory(plain, bare(source)):
            return remember(plain, known_of_copy(known, source.shape, key, plain.shape))
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)
    return plain


def _tell_scalar(rows: Rows, key: Any) -> None:
    """One element was read."""
    first = key[0] if isinstance(key, tuple) else key
    if isinstance(first, int | np.integer):
        cut = _cut(rows, int(first))
        if cut is not None:
            READS.tell_row(cut[0].row_id(cut[1].start))
