"""Places in a long stream of numbers (tokens, samples of a signal) by which any piece of it can be found again.

Of every ``window`` neighbouring k-grams the one with the least hash is an anchor (winnowing: Schleimer, Wilkerson and
Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003). Which one that is depends on these
k-grams only, so a piece that holds ``window`` k-grams holds an anchor of the stream, and the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints
from coverage_audit.sources.row_hashes import Hashes

Array = npt.NDArray[Any]

GRAM = 8
"""Numbers in a k-gram."""

_PLACE_BITS = np.uint64(16)
_PLACES = (1 << 16) - 1
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Spacing:
    """One anchor among any ``window`` neighbouring k-grams; about 2 in window + 1 k-grams become one."""

    window: int

    @property
    def shortest(self) -> int:
        """Numbers that a piece must have to be sure to hold an anchor."""
        return self.window + GRAM - 1


def spacing_for(n: int) -> Spacing:
    """Closer anchors for shorter streams: pieces of 16 numbers are found in 4 million, of 64 in any."""
    return Spacing(9 if n <= 1 << 22 else 25 if n <= 1 << 25 else 57)


def gram_hashes(numbers: Array) -> Hashes:
    """uint64 (..., T - GRAM + 1): a hash of every k-gram along the last axis of integers or floats (..., T).

    Numbers by their bits, mixed as in splitmix64 (Steele, Lea and Flood 2014), then added up with powers of an odd
    factor, in steps of 1, 2 and 4.
    """
    bits = np.ascontiguousarray(numbers).view(f"u{numbers.dtype.itemsize}").astype(np.uint64)
    hashes = mixed(bits + _ODD[0])
    factor = int(_ODD[0])
    for step in (1, 2, 4):
        hashes = hashes[..., :-step] * np.uint64(factor) + hashes[..., step:]
        factor = factor * factor % (1 << 64)
    return mixed(hashes)


def mixed(values: Hashes) -> Hashes:
    """The finalizer of splitmix64: one to one, and every bit of the result depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * _ODD[1]
    values = (values ^ (values >> np.uint64(27))) * _ODD[2]
    return values ^ (values >> np.uint64(31))


def find_anchors(numbers: Array, spacing: Spacing) -> tuple[Ints, Hashes]:
    """(places, ascending; keys) of the anchors of a stream (n,); a key is the hash of the k-gram that begins there."""
    places: list[Ints] = [np.empty(0, np.int64)]
    keys: list[Hashes] = [np.empty(0, np.uint64)]
    last = -1
    for start, hashes in _pieces(numbers, spacing):
        order = (hashes & ~np.uint64(_PLACES)) | np.arange(len(hashes), dtype=np.uint64)
        least = _sliding_least(order, spacing.window)
        at = (least & np.uint64(_PLACES)).astype(np.int64)
        at = at[np.concatenate(([True], at[1:] != at[:-1]))]
        at = at[at + start > last]
        if len(at):
            last = int(at[-1]) + start
            places.append(at + start)
            keys.append(mixed(hashes[at]))
    return np.concatenate(places), np.concatenate(keys)


def anchors_of_windows(rows: Array, spacing: Spacing, most: int) -> tuple[Ints, Hashes]:
    """(offsets, keys), each (B, m): up to ``most`` anchors of every row of (B, T), T at least ``spacing.shortest``."""
    window = spacing.window
    m = min((rows.shape[1] - GRAM + 1) // window, most)
    hashes = gram_hashes(rows[:, : m * window + GRAM - 1]).reshape(len(rows), m, window)
    nearest = (hashes >> _PLACE_BITS).argmin(axis=2)  # the first of equals, as in the stream
    keys = mixed(np.take_along_axis(hashes, nearest[:, :, None], axis=2)[:, :, 0])
    return nearest + window * np.arange(m), keys


def _pieces(numbers: Array, spacing: Spacing) -> Iterator[tuple[int, Hashes]]:
    """(place of the first, hashes) of pieces that overlap so that every window of k-grams is whole in one."""
    n = len(numbers) - GRAM + 1
    new = _PLACES + 1 - (spacing.window - 1)
    for start in range(0, n - spacing.window + 1, new):
        yield start, gram_hashes(numbers[start : start + _PLACES + GRAM])


def _sliding_least(values: Hashes, window: int) -> Hashes:
    """(n - window + 1,): the least of each ``window`` neighbours, by doubling."""
    have = 1
    while 2 * have <= window:
        values = np.minimum(values[:-have], values[have:])
        have *= 2
    rest = window - have
    return np.minimum(values[:-rest], values[rest:]) if rest else values
