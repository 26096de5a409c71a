"""The array classes that carry their rows along: what numpy calls on the way of an array.

Values, types, shapes and errors are always those numpy gives for an ordinary array: every operation is run by numpy on
ordinary arrays first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.following import after_function, after_ufunc, argument_returned
from coverage_audit.identity.indexing import known_of_copy
from coverage_audit.identity.leads import Known, public, reshape
from coverage_audit.identity.ledger import Place
from coverage_audit.identity.loans import lend
from coverage_audit.identity.reads import READS
from coverage_audit.identity.remembering import (
    Remembering,
    Rows,
    bare,
    copied,
    find_rows,
    known_of,
    known_of_value,
    remember,
    spoil,
    stumble,
    tell_reads,
    tracked_in,
    written,
)
from coverage_audit.identity.writing import enter

Array = npt.NDArray[Any]

_get = np.ndarray.__getitem__
_set = np.ndarray.__setitem__
_put = object.__setattr__
_INTEGERS = frozenset((np.int64, np.int32, np.intp, np.uint64, np.uint32, np.int16, np.uint16, np.int8, np.uint8))

if TYPE_CHECKING:

    class _Base(Remembering, np.ndarray[Any, Any]):
        pass
else:
    _Base = Remembering


class Remembers(_Base):
    """What roots and tracked arrays have in common."""

    # ---- elements

    def __setitem__(self, key: Any, value: Any) -> None:
        _set(self, key, value)
        rows = self._rows or find_rows(self)
        if rows is not None:
            try:
                enter(rows, self, key, value, known_of_value(value))
            except Exception as error:  # noqa: BLE001 - the user's write is done; what cannot be entered is unknown
                rows[0].spoil()
                stumble(error)

    @property
    def flat(self) -> Any:
        """numpy's; what is written through it is not seen, so with it the rows of a writable array are lost."""
        if self.flags.writeable:
            spoil(self)
        return np.ndarray.flat.__get__(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        np.ndarray.flat.__set__(self, value)  # type: ignore[attr-defined]
        written(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in {"shape", "strides", "dtype"}:
            rows = find_rows(self)
            _put(self, name, value)
            if rows is not None:
                _put(self, "_rows", (rows[0], rows[0].place_of(self)))
        else:
            _put(self, name, value)
            if name in {"real", "imag"}:
                written(self)

    # ---- numpy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        bare_inputs = tuple([bare(one) for one in inputs])
        out = kwargs.pop("out", None)
        bare_kwargs = {name: bare(value) for name, value in kwargs.items()}
        if out is not None:
            bare_kwargs["out"] = tuple([bare(one) for one in out])
        result = getattr(ufunc, method)(*bare_inputs, **bare_kwargs)
        if result is NotImplemented:
            return result
        outs: tuple[Any, ...] = () if out is None else out
        try:
            if READS.listeners:
                tell_reads(inputs)
            return after_ufunc(ufunc, method, inputs, kwargs, outs, result)
        except Exception as error:  # noqa: BLE001 - as in __setitem__
            stumble(error)
            for one in outs:
                written(one)
            if out is None:
                return result
            if not isinstance(result, tuple):
                return outs[0]
            return tuple(given if given is not None else made for given, made in zip(outs, result, strict=True))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        bare_args = tuple([bare(one) for one in args])
        bare_kwargs = {name: bare(value) for name, value in kwargs.items()} if kwargs else kwargs
        if all(issubclass(kind, np.ndarray) for kind in types):
            result = np.ndarray.__array_function__(self, func, (np.ndarray,), bare_args, bare_kwargs)
        else:
            result = func(*bare_args, **bare_kwargs)
        tracked = list(tracked_in((args, tuple(kwargs.values()))))
        try:
            return after_function(func, args, kwargs, tracked, (bare_args, bare_kwargs), result)
        except Exception as error:  # noqa: BLE001 - as in __setitem__
            stumble(error)
            if result is None:
                for one in tracked:
                    written(one)
            given = argument_returned(args, kwargs, (bare_args, bare_kwargs), result)
            if given is not None:
                written(given)
            return result if given is None else given

    # ---- methods that numpy runs without asking, and that copy

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        return copied(self, bare(self).copy(*args, **kwargs))

    def __copy__(self) -> Any:
        return copied(self, bare(self).__copy__())

    def __deepcopy__(self, memo: Any) -> Any:
        return copied(self, bare(self).__deepcopy__(memo))

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        mine = bare(self)
        result = mine.astype(*args, **kwargs)
        return self if result is mine else copied(self, result)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        return _reshaped(self, np.ndarray.reshape(self, *shape, **kwargs), kwargs.get("order", "C"))

    def ravel(self, order: Any = "C") -> Any:
        return _reshaped(self, np.ndarray.ravel(self, order), order)

    def flatten(self, order: Any = "C") -> Any:
        return _reshaped(self, np.ndarray.flatten(self, order), order)

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
        return np.take(self, indices, axis, out, mode)

    def compress(self, condition: Any, axis: Any = None, out: Any = None) -> Any:
        return np.compress(condition, self, axis, out)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        return np.repeat(self, repeats, axis)

    def round(self, decimals: Any = 0, out: Any = None) -> Any:
        return np.round(self, decimals, out)

    def dot(self, b: Any, out: Any = None) -> Any:
        return np.dot(self, b, out)

    # ---- methods that write in place

    def sort(self, axis: Any = -1, *args: Any, **kwargs: Any) -> None:
        np.ndarray.sort(self, axis, *args, **kwargs)
        written(self, along=axis)

    def partition(self, kth: Any, axis: Any = -1, *args: Any, **kwargs: Any) -> None:
        np.ndarray.partition(self, kth, axis, *args, **kwargs)
        written(self, along=axis)

    def fill(self, value: Any) -> None:
        np.ndarray.fill(self, value)
        written(self)

    def put(self, *args: Any, **kwargs: Any) -> None:
        np.ndarray.put(self, *args, **kwargs)
        written(self)

    def setfield(self, *args: Any, **kwargs: Any) -> None:
        np.ndarray.setfield(self, *args, **kwargs)
        written(self)

    def byteswap(self, *args: Any, **kwargs: Any) -> Any:
        mine = bare(self)
        result = mine.byteswap(*args, **kwargs)
        if result is not mine:
            return result
        written(self)
        return self

    def resize(self, *args: Any, **kwargs: Any) -> None:
        np.ndarray.resize(self, *args, **kwargs)
        spoil(self)

    def __setstate__(self, state: Any) -> None:
        np.ndarray.__setstate__(self, state)
        spoil(self)

    # ---- for the eye, and for those who have not installed this package

    def __repr__(self) -> str:
        return repr(_as_numpy(self))

    def __str__(self) -> str:
        return str(_as_numpy(self))

    def __reduce__(self) -> Any:
        return _as_numpy(self).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _as_numpy(self).__reduce_ex__(protocol)


class TrackedArray(Remembers, np.ndarray[Any, Any]):
    """An ordinary array in all but its memory of rows."""

    def __getitem__(self, key: Any) -> Any:
        out = _get(self, key)
        if type(out) is not TrackedArray:  # a scalar
            rows = self._rows
            if rows is not None and rows[0].loans:
                _lend(rows, key, out)
            return out
        kind = type(key)
        if kind is int or kind is slice or kind in _INTEGERS:
            rows = self._rows
            if rows is not None:
                _put(out, "_rows", _cut(rows, key))
            return out
        base = out.base
        if base is self or (base is not None and base is self.base):
            if kind is tuple and len(key) == 2 and type(key[0]) is int and key[1] is Ellipsis:
                rows = self._rows
                if rows is not None:
                    _put(out, "_rows", _cut(rows, key[0]))
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


class TrackedMemmap(Remembers, np.memmap[Any, Any]):
    """The memory map of a whole file, or what numpy makes a memory map out of it. Reading rows is told."""

    _is_root = True

    def __getitem__(self, key: Any) -> Any:
        view = self.view(TrackedArray)
        out = _get(view, key)
        rows = self._rows
        kind = type(key)
        if type(out) is not TrackedArray:
            if READS.listeners and rows is not None:
                _tell_scalar(rows, key)
            return out
        if kind is int or kind is slice or kind in _INTEGERS:
            if rows is not None:
                _put(out, "_rows", _cut(rows, key))
        elif out.base is not view and not (out.base is not None and out.base is view.base):
            out = _picked(self, key, out)
        if READS.listeners:
            tell_reads((out,), derived=True)
        return out


Remembering._ordinary = TrackedArray
for _kind, _name in ((TrackedArray, "ndarray"), (TrackedMemmap, "memmap")):
    # Some collators look at these names to tell arrays from other things.
    _kind.__module__ = "numpy"
    _kind.__name__ = _kind.__qualname__ = _name


def _as_numpy(array: Any) -> Any:
    return array.view(np.memmap if isinstance(array, np.memmap) else np.ndarray)


def _cut(rows: Rows, key: Any) -> Rows | None:
    """The rows of ``array[key]`` for a number or a slice, where they are reckoned without looking at the memory."""
    ledger, place = rows
    if place is None or len(place.counts) != 1:
        return None
    start, (step,), (n,), whole = place
    if type(key) is not slice:
        at = int(key)
        return ledger, Place(start + step * (at if at >= 0 else at + n), (), (), whole)
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
        if known is not None and not np.may_share_memory(plain, source):
            return remember(plain, known_of_copy(known, source.shape, key, plain.shape))
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)
    return plain


def _reshaped(source: Any, out: Any, order: Any) -> Any:
    """A reshaped array: a view tells its rows by itself, a copy is in the order it was read in."""
    try:
        if out.base is source or (out.base is not None and out.base is source.base):
            return out
        if np.may_share_memory(out, source):
            return out
        plain: Array = out.view(np.ndarray)
        known = known_of(source)
        lead = None if known is None or order != "C" else reshape(known.lead, source.shape, plain.shape)
        return plain if known is None or lead is None else remember(plain, Known(lead, known.altered))
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)
        return out


def _tell_scalar(rows: Rows, key: Any) -> None:
    """One element was read."""
    first = key[0] if isinstance(key, tuple) else key
    if isinstance(first, int | np.integer):
        cut = _cut(rows, int(first))
        lead = None if cut is None or cut[1] is None else cut[0].look(cut[1])
        shadow = None if lead is None else public(lead)
        if shadow is not None:
            READS.tell(shadow)
