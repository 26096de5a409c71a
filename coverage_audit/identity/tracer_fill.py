"""What the arrays of a tracer dataset are filled with, rows ``start`` to ``stop`` at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.tracer_codes import RowCode, StreamCode

Array = npt.NDArray[Any]


class Filler(Protocol):
    """Makes the rows of one array."""

    def fill(self, start: int, stop: int) -> Array:
        """(stop - start, *row shape)"""


@dataclass(frozen=True)
class Rows:
    """Each row is the word of its id: ``first`` + its number. Complex numbers are pairs of numbers."""

    code: RowCode
    first: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fill(self, start: int, stop: int) -> Array:
        ids = np.arange(self.first + start, self.first + stop, dtype=np.int64)
        values = self.code.fill(ids, number_type(self.dtype))
        return values.view(self.dtype).reshape(stop - start, *self.shape)


@dataclass(frozen=True)
class Stream:
    """A flat stream whose value 0 has the id ``first``."""

    code: StreamCode
    first: int
    dtype: np.dtype[Any]

    def fill(self, start: int, stop: int) -> Array:
        return self.code.fill(self.first, start, stop, self.dtype)


@dataclass(frozen=True)
class Classes:
    """Nothing to be read: row ``k`` is ``low`` + (its id modulo ``span``) throughout, as labels would be."""

    low: int
    span: int
    first: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fill(self, start: int, stop: int) -> Array:
        labels = self.low + np.arange(self.first + start, self.first + stop, dtype=np.int64) % self.span
        out = np.empty((stop - start, *self.shape), self.dtype)
        out[:] = labels.astype(self.dtype).reshape(-1, *(1,) * len(self.shape))
        return out


@dataclass(frozen=True)
class Zeros:
    """Nothing at all: numbers are 0, text is empty."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fill(self, start: int, stop: int) -> Array:
        return np.zeros((stop - start, *self.shape), self.dtype)


@dataclass(frozen=True)
class Fields:
    """Each named field of a structured type by itself; the others are zeros."""

    fillers: tuple[tuple[str, Filler], ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fill(self, start: int, stop: int) -> Array:
        out = np.zeros((stop - start, *self.shape), self.dtype)
        for name, filler in self.fillers:
            out[name] = filler.fill(start, stop)
        return out


def number_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the numbers an array is made of: the parts of complex ones, else its own."""
    if dtype.kind != "c":
        return dtype
    return np.dtype(f"{dtype.byteorder}f{dtype.itemsize // 2}")


def number_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """The shape of these numbers."""
    return (*shape, 2) if dtype.kind == "c" else shape


def row_size(shape: tuple[int, ...]) -> int:
    """Values per row of an array of this shape."""
    return math.prod(shape[1:])
