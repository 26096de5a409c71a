"""What numpy calls on the way of a tracked array, and the methods that it would run without asking.

Values, types, shapes and errors are always those numpy gives for an ordinary array: every operation is run by numpy on
ordinary arrays first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.following import after_function, after_ufunc, argument_returned
from coverage_audit.identity.leads import Known, reshape
from coverage_audit.identity.operators import Operators
from coverage_audit.identity.reads import READS
from coverage_audit.identity.remembering import (
    Remembering,
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
from coverage_audit.identity.writing import enter, move_row

Array = npt.NDArray[Any]

_get = np.ndarray.__getitem__
_set = np.ndarray.__setitem__
_put = object.__setattr__
_INTEGERS = frozenset((np.int64, np.int32, np.intp, np.uint64, np.uint32, np.int16, np.uint16, np.int8, np.uint8))

if TYPE_CHECKING:

    class _Base(Remembering, np.ndarray[Any, Any]):
        pass
else:

    class _Base(Operators, Remembering):
        pass


class Hooked(_Base):
    """What roots and tracked arrays have in common."""

    # ---- elements

    def __setitem__(self, key: Any, value: Any) -> None:
        _set(self, key, value)
        try:
            rows = self._rows or find_rows(self)
            if rows is None:
                return
            source = value._rows if isinstance(value, Hooked) else None
            if source is None or not move_row(rows, self, key, source, value):
                enter(rows, self, key, value, known_of_value(value))
        except Exception as error:  # noqa: BLE001 - the user's write is done; what cannot be entered is unknown
            stumble(error)
            spoil(self)

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
        spoil(self)
        base = self.base
        if type(base) is np.ndarray and base.flags.owndata and base.flags.c_contiguous and base.shape == self.shape:
            # numpy changes the size of an array that owns its memory. This one would if it were not a view of such.
            resized = base.copy()
            resized.resize(*args, **{**kwargs, "refcheck": False})
            native: Any = resized.view(resized.dtype.newbyteorder("="))  # __setstate__ would make it native by value
            state: Any = (1, native.shape, native.dtype, False, native.tobytes())
            np.ndarray.__setstate__(self, state)
            _put(self, "dtype", resized.dtype)
        else:
            np.ndarray.resize(self, *args, **kwargs)

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


def _as_numpy(array: Any) -> Any:
    return array.view(np.memmap if isinstance(array, np.memmap) else np.ndarray)


def _reshaped(source: Any, out: Any, order: Any) -> Any:
    """A reshaped array: a view tells its rows by itself, a copy is in the order it was read in."""
    try:
        if out.base is source or (out.base is not None and out.base is source.base):
            return out
        plain: Array = out.view(np.ndarray)
        if np.may_share_memory(plain, bare(source)):
            return out
        known = known_of(source)
        lead = None if known is None or order != "C" else reshape(known.lead, source.shape, plain.shape)
        return plain if known is None or lead is None else remember(plain, Known(lead, known.altered))
    except Exception as error:  # noqa: BLE001 - as in __setitem__
        stumble(error)
        return out
