"""A row id as digits, with a check: the algebra of tracer datasets.

A word is the id and a hash of it. Both are scattered over all digits, so that words of neighbouring rows have little in
common, and digits that were changed, mixed or made up are no word, but with a chance of 2^-32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints

CHECK = 1 << 32
"""How many values the check has: the chance that random digits are a word is below 1 / CHECK."""

_LARGEST = 1 << 63

Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Word:
    """Ids 0 .. ids-1 written with ``length`` digits 0 .. radix-1.

    Words of another ``seed`` are no words here. Use :meth:`digits_needed` for the smallest length.
    """

    ids: int
    radix: int
    length: int
    seed: int

    @cached_property
    def _lanes(self) -> tuple[tuple[int, int], ...]:
        """(modulus, digits) of each number that is written; the last one has the spare digits, which stay 0."""
        needed = _lanes_of(self.ids, self.radix)
        *firsts, (modulus, digits) = needed
        return (*firsts, (modulus, digits + self.length - sum(n for _, n in needed)))

    @staticmethod
    def digits_needed(ids: int, radix: int) -> int:
        """The smallest length for so many ids."""
        return sum(digits for _, digits in _lanes_of(ids, radix))

    def write(self, ids: Ints) -> Ints:
        """(n,) ids -> (n, length) digits."""
        n = np.uint64(self.ids)
        check = self._check(ids.astype(np.uint64))
        hidden = (ids.astype(np.uint64) + _mix(check) % n) % n
        numbers = (check * n + hidden,) if len(self._lanes) == 1 else (hidden, check)
        out = np.empty((len(ids), self.length), np.int64)
        at = 0
        for number, (_, digits) in zip(numbers, self._lanes, strict=True):
            for _ in range(digits):
                number, out[:, at] = np.divmod(number, np.uint64(self.radix))  # noqa: PLW2901 - what is left of it
                at += 1
        return out

    def read(self, digits: npt.NDArray[Any]) -> Ints:
        """(n, length) integers -> (n,) ids, -1 where they are no word."""
        valid = np.ones(len(digits), np.bool_)
        numbers: list[Bits] = []
        at = 0
        for modulus, count in self._lanes:
            number = np.zeros(len(digits), np.uint64)
            weight = 1
            for _ in range(count):
                digit = digits[:, at]
                # A digit that alone is too much would overflow.
                valid &= (digit >= 0) & (digit <= min(self.radix - 1, (modulus - 1) // weight))
                number += np.where(valid, digit, 0).astype(np.uint64) * np.uint64(min(weight, _LARGEST))
                weight *= self.radix
                at += 1
            valid &= number < np.uint64(modulus)
            numbers.append(number)
        n = np.uint64(self.ids)
        hidden, check = (numbers[0] % n, numbers[0] // n) if len(numbers) == 1 else numbers
        ids = (hidden + (n - _mix(check) % n)) % n
        valid &= self._check(ids) == check
        return np.where(valid, ids.astype(np.int64), -1)

    def _check(self, ids: Bits) -> Bits:
        seed = _mix(np.array([self.seed], np.uint64))
        return _mix(ids ^ seed) >> np.uint64(32)


def _lanes_of(ids: int, radix: int) -> tuple[tuple[int, int], ...]:
    """Id and check as one number where 63 bits hold it, else as two."""
    moduli = (ids * CHECK,) if ids * CHECK <= _LARGEST else (ids, CHECK)
    lanes = []
    for modulus in moduli:
        digits, capacity = 1, radix
        while capacity < modulus:
            digits, capacity = digits + 1, capacity * radix
        lanes.append((modulus, digits))
    return tuple(lanes)


def _mix(bits: Bits) -> Bits:
    """A bijection of 64 bits in which every bit depends on every other.

    The finalizer of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
