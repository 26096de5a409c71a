"""How the rows of a tracer dataset are filled, and read again from what a loader made of them.

Every value is a small whole number, so that it survives casts to any type that holds it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.tracer_word import Word
from coverage_audit.model.rows import Ints

Array = npt.NDArray[Any]


class Style(enum.Enum):
    """What the values of a row say beside the digits of its word."""

    PLACED = "placed"  # each says its place in the word: low + place * radix + digit
    FRAMED = "framed"  # low stands before each repetition of the word, whose digits count from low + 1
    PLAIN = "plain"  # nothing: low + digit


@dataclass(frozen=True)
class RowCode:
    """A row of ``size`` values is the word of its id, over and over.

    Placed words can be read from any part of the row in any order, as long as every place is left somewhere; framed
    ones from any piece without gaps that holds a whole one; plain rows must be whole and in order. ``low``: the
    smallest value used; where it is above 0, a 0 among placed values was wiped out (padding, cutout).
    """

    word: Word
    size: int
    style: Style
    low: int

    @property
    def period(self) -> int:
        """After so many values they repeat."""
        return self.word.length + (self.style is Style.FRAMED)

    def fill(self, ids: Ints, dtype: np.dtype[Any]) -> Array:
        """(n,) ids -> (n, size) values."""
        out = np.empty((len(ids), self.size), dtype)
        whole = self.size - self.size % self.period
        symbols = self._symbols(ids).astype(dtype)
        out[:, :whole].reshape(len(ids), -1, self.period)[:] = symbols[:, None, :]
        out[:, whole:] = symbols[:, : self.size - whole]
        return out

    def read_whole(self, values: Array) -> Ints:
        """(n, size) values of rows as they were written, whole and in order -> (n,) ids, -1 for other rows."""
        digits = whole_numbers(values[:, : self.period]) - self._lowest
        ids = self.word.read(digits[:, self.period - self.word.length :])
        # What is no word has id 0 here; its symbols need not fit the type, and are not looked at.
        with np.errstate(over="ignore", invalid="ignore"):
            symbols = self._symbols(np.maximum(ids, 0)).astype(values.dtype)
        whole = self.size - self.size % self.period
        same = (values[:, :whole].reshape(len(ids), -1, self.period) == symbols[:, None, :]).all(axis=(1, 2))
        same &= (values[:, whole:] == symbols[:, : self.size - whole]).all(axis=1)
        return np.where(same, ids, -1)

    def read_parts(self, values: Array) -> Ints:
        """(n, any) values of which each row is a part of one stored row -> (n,) ids, -1 where they are not.

        Values of two rows in one, or any value that is neither the row's nor wiped out, make it no row. Of large
        placed rows :data:`LOOKED_AT` values, evenly spread, are looked at. Plain rows have no parts.
        """
        if self.style is Style.PLAIN or values.shape[1] < self.period:
            return np.full(len(values), -1, np.int64)
        return self._read_placed(values) if self.style is Style.PLACED else self._read_framed(values)

    def _read_placed(self, values: Array) -> Ints:
        places, radix = self.word.length, self.word.radix
        numbers = whole_numbers(values[:, :: _stride(values.shape[1], places)])
        wiped = (numbers == 0) if self.low > 0 else np.zeros(numbers.shape, np.bool_)
        place, digit = np.divmod(numbers - self.low, radix)
        valid = (place >= 0) & (place < places) & ~wiped
        ok = (valid | wiped).all(axis=1)
        place[~valid] = places  # a column for what is not used
        found = np.full((len(values), places + 1), -1, np.int64)
        np.put_along_axis(found, place, digit, axis=1)
        ok &= ((np.take_along_axis(found, place, axis=1) == digit) | ~valid).all(axis=1)
        return np.where(ok, self.word.read(found[:, :places]), -1)

    def _read_framed(self, values: Array) -> Ints:
        numbers = whole_numbers(values)
        phase, word = first_frame(numbers, self.period, self.low)
        ids = self.word.read(word - (self.low + 1))
        at = (np.arange(numbers.shape[1]) - phase[:, None]) % self.period
        same = (np.take_along_axis(self._symbols(np.maximum(ids, 0)), at, axis=1) == numbers).all(axis=1)
        return np.where(same, ids, -1)

    @cached_property
    def _lowest(self) -> Ints:
        """The smallest value at each place of a period."""
        places = np.arange(self.period, dtype=np.int64)
        if self.style is Style.PLACED:
            return self.low + places * self.word.radix
        return self.low + ((places > 0) if self.style is Style.FRAMED else np.zeros_like(places))

    def _symbols(self, ids: Ints) -> Ints:
        """(n, period)"""
        out = np.zeros((len(ids), self.period), np.int64)
        out[:, self.period - self.word.length :] = self.word.write(ids)
        return out + self._lowest


@dataclass(frozen=True)
class StreamCode:
    """A flat stream is a sequence of frames: a 0, then the word of the id of the frame's first value, from 1 on.

    A window anywhere tells its start by the first whole frame in it, and must agree with it to its last value.
    """

    word: Word

    @property
    def frame(self) -> int:
        """Values per frame."""
        return self.word.length + 1

    @property
    def shortest(self) -> int:
        """From this length on, every window holds a whole frame."""
        return 2 * self.frame - 1

    def fill(self, first: int, start: int, stop: int, dtype: np.dtype[Any]) -> Array:
        """Values ``start`` to ``stop`` of the stream whose value 0 has the id ``first``."""
        frames = np.arange(start // self.frame, -(-stop // self.frame), dtype=np.int64) * self.frame
        skip = start % self.frame
        return self._frames(first + frames).reshape(-1)[skip : skip + stop - start].astype(dtype)

    def read(self, windows: Array, offsets: Ints) -> Ints:
        """(n, T) windows -> (n,) ids of their first values, -1 where they are no window of one stream.

        ``offsets``: (streams + 1,) the id of each stream's value 0, then the number of ids.
        """
        n, length = windows.shape
        if length < self.frame:
            return np.full(n, -1, np.int64)
        numbers = whole_numbers(windows)
        phase, word = first_frame(numbers, self.frame, 0)
        ids = self.word.read(word - 1)
        stream = np.maximum(np.searchsorted(offsets, ids, side="right") - 1, 0)
        start = ids - phase
        ok = (ids >= 0) & (start >= offsets[stream]) & (start + length <= offsets[stream + 1])
        ok &= (ids - offsets[stream]) % self.frame == 0
        if ok.any():
            ok[ok] = (numbers[ok] == self._windows(start[ok], offsets[stream[ok]], length)).all(axis=1)
        return np.where(ok, start, -1)

    def _windows(self, starts: Ints, firsts: Ints, length: int) -> Ints:
        """(n, length) the values from each start on; ``firsts``: the ids of value 0 of their streams."""
        skip = (starts - firsts) % self.frame
        frames = np.arange(-(-length // self.frame) + 1, dtype=np.int64) * self.frame
        # The last frame may begin beyond the window and beyond all ids; nothing of it is used then.
        values = self._frames(((starts - skip)[:, None] + frames).reshape(-1) % self.word.ids)
        at = skip[:, None] + np.arange(length, dtype=np.int64)
        return np.take_along_axis(values.reshape(len(starts), -1), at, axis=1)

    def _frames(self, ids: Ints) -> Ints:
        out = np.zeros((len(ids), self.frame), np.int64)
        out[:, 1:] = self.word.write(ids) + 1
        return out


Code = RowCode | StreamCode

LOOKED_AT = 1 << 10
"""Values of a row."""


def _stride(size: int, places: int) -> int:
    """About size / LOOKED_AT; a prime, which passes through all places of a word and through all columns."""
    stride = size // LOOKED_AT
    while stride > 1 and (places % stride == 0 or any(stride % n == 0 for n in range(2, math.isqrt(stride) + 1))):
        stride += 1
    return max(stride, 1)


def to_json(code: Code, dtype: str) -> dict[str, Any]:
    """A code and the type it is stored with, as plain values."""
    word = code.word
    facts = {"ids": word.ids, "radix": word.radix, "length": word.length, "seed": word.seed, "dtype": dtype}
    if isinstance(code, StreamCode):
        return {"kind": "stream", **facts}
    return {"kind": "rows", **facts, "size": code.size, "style": code.style.value, "low": code.low}


def from_json(facts: Mapping[str, Any]) -> tuple[Code, np.dtype[Any]]:
    """What :func:`to_json` made plain. Raises KeyError, TypeError or ValueError where it is something else."""
    word = Word(int(facts["ids"]), int(facts["radix"]), int(facts["length"]), int(facts["seed"]))
    if word.ids < 1 or word.radix < 2 or word.length < Word.digits_needed(word.ids, word.radix):
        raise ValueError(f"{word} has no room for an id and its check")
    dtype = np.dtype(str(facts["dtype"]))
    if facts["kind"] == "stream":
        return StreamCode(word), dtype
    code = RowCode(word, int(facts["size"]), Style(facts["style"]), int(facts["low"]))
    if facts["kind"] != "rows" or code.size < code.period:
        raise ValueError(f"{facts['kind']} of {code.size} values")
    return code, dtype


def first_frame(numbers: Ints, frame: int, mark: int) -> tuple[Ints, Ints]:
    """((n,) where the first whole frame of each row begins, (n, frame - 1) what follows its ``mark``).

    All negative where there is none.
    """
    head = numbers[:, :frame] == mark
    phase = head.argmax(axis=1)
    ok = head.any(axis=1) & (phase + frame <= numbers.shape[1])
    at = np.where(ok, phase, 0)[:, None] + np.arange(1, frame)
    return phase, np.where(ok[:, None], np.take_along_axis(numbers, at, axis=1), -1)


def whole_numbers(values: Array) -> Ints:
    """As int64; anything that is no whole number from 0 to 2^63 - 1 becomes some negative number."""
    if values.dtype.kind in "biu":
        return values.astype(np.int64)  # unsigned ones above wrap round into negative ones
    with np.errstate(invalid="ignore"):  # NaN and infinity become some number, and are found not to equal it
        numbers = values.astype(np.int64)
        # 2^63 - 1 is no float: what is cast to it was larger, and equals it after rounding.
        numbers[(numbers != values) | (numbers == np.iinfo(np.int64).max)] = -1
    return numbers
