"""Which code an array of a tracer dataset gets: the smallest values that leave room for an id and its check.

Small values survive the most casts (up to 255: uint8, float16, bfloat16) and are the least surprising where a loader
takes them for tokens, pixels or classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from coverage_audit.identity.tracer_codes import RowCode, StreamCode, Style
from coverage_audit.identity.tracer_word import Word

CEILINGS = (255, 2047, (1 << 24) - 1, (1 << 31) - 1, (1 << 53) - 1, (1 << 63) - 1)
"""The largest values tried in turn: what uint8, float16, float32, int32, float64 and int64 hold exactly."""

_LONGEST_WORD = 128


def largest_value(dtype: np.dtype[Any]) -> int | None:
    """The largest n for which this type holds 0 .. n exactly, at most 2^63 - 1; None for types that hold no numbers."""
    if dtype.kind == "b":
        return 1
    if dtype.kind in "iu":
        return min(int(np.iinfo(dtype).max), (1 << 63) - 1)
    if dtype.kind == "f":
        return int(min(2 << np.finfo(dtype).nmant, 1 << 53))
    return None


def plan_rows(ids: int, shape: tuple[int, ...], low: int, top: int, seed: int) -> RowCode | None:
    """A code for rows of this shape with values ``low`` to ``top``; None if they have too few values for one."""
    size = math.prod(shape)
    for ceiling in _ceilings(top):
        for style in Style:
            # A 0 can stand for "wiped out" if no code uses it.
            least = max(low, 1) if style is Style.PLACED else low
            values = ceiling - least + 1
            length = _length(ids, shape, values, style)
            if length is not None:
                radix = {Style.PLACED: values // length, Style.FRAMED: values - 1, Style.PLAIN: values}[style]
                return RowCode(Word(ids, radix, length, seed ^ size), size, style, least)
    return None


def plan_stream(ids: int, top: int, seed: int) -> StreamCode | None:
    """A code for a flat stream with values 0 to ``top``; None if these are fewer than three."""
    radix = min(top, CEILINGS[0])
    if radix < 2:
        return None
    return StreamCode(Word(ids, radix, Word.digits_needed(ids, radix), seed))


def size_needed(ids: int, top: int) -> int:
    """The fewest values of a row for which :func:`plan_rows` finds a code; ``top`` is at least 1."""
    return next(n for n in range(1, 1 << 10) if plan_rows(ids, (n,), 0, top, 0) is not None)


def _ceilings(top: int) -> Iterator[int]:
    for ceiling in CEILINGS:
        if ceiling >= top:
            yield top
            return
        yield ceiling


def _length(ids: int, shape: tuple[int, ...], values: int, style: Style) -> int | None:
    """Of words made of ``values`` different values; None if none fits into a row."""
    size = math.prod(shape)
    if style is not Style.PLACED:
        framed = style is Style.FRAMED
        if values - framed < 2:
            return None
        needed = Word.digits_needed(ids, values - framed)
        return needed if needed + framed <= size else None
    lengths = [
        n for n in range(1, min(size, values // 2, _LONGEST_WORD) + 1) if Word.digits_needed(ids, values // n) <= n
    ]
    # A length that divides neither an axis nor a stride has all its places left in x[..., 0] and x[:, ::2].
    good = (n for n in lengths if _is_prime(n) and not any(axis % n == 0 for axis in shape[1:]))
    return next(good, lengths[0] if lengths else None)


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))
