"""What a batch's values were before they were cast or scaled: stored values back from x/255, x/127.5 - 1 and the like.

A way back is accepted only if going forward again gives every value of the batch bit for bit. There are several ways
to compute the same formula (in float32 or float64, by dividing or by multiplying with the reciprocal, fused or not)
and they differ in the last bit, so each is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.formulas import Family, Way, families, is_float, wide_of

Array = npt.NDArray[Any]
AS_STORED = "as stored"
"""The name of values that are those of the file, whatever their type."""

_SAMPLE = 64
_BLOCK = 1 << 15
_NUMBERS = "biuf"


def restore(values: Array, dtype: np.dtype[Any], hint: str | None = None) -> Iterator[tuple[str, Array]]:
    """Each (name, stored values) of ``dtype`` that ``values`` may have been made of, exactly; ``hint`` first.

    ``values``: any shape and type; ``hint``: a name that was right before. Same values in another type count as
    stored, provided they fit both. Beyond that: stored integers of 8 and 16 bits, and whole numbers of 0 to 255 in
    any type, under the formulas of :mod:`~coverage_audit.identity.formulas`, computed in a float type and then cast
    to that of ``values``. Yields nothing for empty arrays and for types that hold no numbers.
    """
    if not values.size:
        return
    if hint is None or hint == AS_STORED:
        yield from _as_stored(values, dtype)
    if dtype.kind not in _NUMBERS or not is_float(values.dtype):
        if hint is not None and hint != AS_STORED:
            yield from _as_stored(values, dtype)
        return
    flat = values.reshape(-1)
    known = families(dtype, values.dtype)
    for family, ways in known:
        for way in ways:
            if way.name == hint:
                yield from _through(values, flat, dtype, family, (way,))
    if hint is not None and hint != AS_STORED:
        yield from _as_stored(values, dtype)
    sample = wide_of(flat[:: max(flat.size // _SAMPLE, 1)])
    for family, ways in known:
        likely = tuple(way for way in ways if way.name != hint and _restored(sample, family, way) is not None)
        if likely:
            yield from _through(values, flat, dtype, family, likely)


def as_stored(values: Array, dtype: np.dtype[Any]) -> Array | None:
    """The same values in another type; None if they do not all fit both. Zeros keep their signs."""
    if values.dtype == dtype:
        return values
    if dtype.kind not in _NUMBERS or not (values.dtype.kind in _NUMBERS or is_float(values.dtype)):
        return None
    with np.errstate(all="ignore"):
        sample = values.reshape(-1)[:_SAMPLE]
        if not _equal(sample.astype(dtype).astype(sample.dtype), sample):
            return None
        stored = values.astype(dtype)
        if _equal(stored.astype(values.dtype), values) and _keeps_sign(values.dtype, dtype, values):
            return stored
        return None


def _as_stored(values: Array, dtype: np.dtype[Any]) -> Iterator[tuple[str, Array]]:
    stored = as_stored(values, dtype)
    if stored is not None:
        yield AS_STORED, stored


def _equal(a: Array, b: Array) -> bool:
    if not is_float(a.dtype):
        return bool((a == b).all())
    whole = np.dtype(f"u{a.itemsize}")
    return bool((np.ascontiguousarray(a).view(whole) == np.ascontiguousarray(b).view(whole)).all())


def _keeps_sign(given: np.dtype[Any], stored: np.dtype[Any], values: Array) -> bool:
    """Whether no large number changed its sign on the way there and back, as int64 -1 does through uint64."""
    if given.kind == "i" and stored.kind == "u":
        return int(values.min()) >= 0
    if given.kind == "u" and stored.kind == "i":
        return int(values.max()) <= np.iinfo(stored).max
    return True


def _through(
    values: Array, flat: Array, dtype: np.dtype[Any], family: Family, ways: tuple[Way, ...]
) -> Iterator[tuple[str, Array]]:
    """The stored values if one of the ways makes all of ``values`` of them. All of a family restore the same."""
    for way in ways:
        stored = np.empty(flat.shape, dtype)
        for at in range(0, flat.size, _BLOCK):
            block = _restored(wide_of(flat[at : at + _BLOCK]), family, way)
            if block is None:
                break
            stored[at : at + _BLOCK] = block
        else:
            yield way.name, stored.reshape(values.shape)
            return


def _restored(wide: Array, family: Family, way: Way) -> Array | None:
    """The stored values (whole, as floats) of which this way makes exactly these; None if there are none for some."""
    with np.errstate(all="ignore"):
        near = wide * wide.dtype.type(family.factor)
        near += wide.dtype.type(family.shift)
        np.rint(near, out=near)
        if not (near.min() >= way.low and near.max() <= way.high):  # not a number is neither
            return None
        return near if bool((way.forward(near) == wide).all()) else None
