"""Grain's shuffles, of many positions at once.

Grain asks compiled code for one position at a time, which makes its keys anew for each: 5 µs, and up to 200 where few
elements are shuffled. The same permutation is worked out here for as many positions as are asked for.

Source: ``index_shuffle.cc`` of Grain 0.2.18. A Simon cipher (https://eprint.iacr.org/2013/404) of four rounds permutes
all numbers of an even number of bits, at least 16, and is applied again until the number is one of a position (Black
and Rogaway, "Ciphers with arbitrary finite domains"). Its keys are what C++'s ``std::seed_seq`` makes of the seed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints

Words = npt.NDArray[Any]
"""Unsigned, of 32 bits."""

_ROUNDS = 4
_LEAST_BITS = 16
_WORD = 0xFFFFFFFF


def shuffled(indices: Ints, length: int, seed: int) -> Ints:
    """Where each of ``indices``, 0 to ``length`` - 1, comes to lie in a shuffle of ``length`` positions.

    Raises ``ValueError`` for a length or a seed of more than 32 bits.
    """
    if not (0 < length <= 1 << 32 and 0 <= seed <= _WORD):
        raise ValueError(f"no shuffle of {length} positions by the seed {seed}")
    if length == 1:
        return np.zeros_like(indices)
    bits = max(_LEAST_BITS, (length - 2).bit_length())
    bits += bits % 2
    if bits == _LEAST_BITS:
        found: Ints = _whole(length, seed)[indices & 0xFFFF]
        return found
    keys = _keys(seed)
    found = _encrypted(indices.astype(np.uint32), bits, keys)
    beyond = np.flatnonzero(found >= length)
    while len(beyond):
        again = _encrypted(found[beyond], bits, keys)
        found[beyond] = again
        beyond = beyond[again >= length]
    return found.astype(np.int64)


class Checked:
    """``fast``, as long as it agrees with ``own``, which knows one position at a time and is always right.

    Compared at three positions of each call, the first and the last among them.
    """

    def __init__(self, fast: Callable[[Ints], Ints], own: Callable[[int], int]) -> None:
        self._fast: Callable[[Ints], Ints] | None = fast
        self._own = own

    def __call__(self, indices: Ints) -> Ints:
        """The positions of ``indices``."""
        if self._fast is not None and len(indices):
            try:
                found = self._fast(indices)
            except ValueError:  # larger than fast goes
                found = np.full(len(indices), -1, np.int64)
            if all(self._own(int(indices[at])) == found[at] for at in {0, len(indices) // 2, len(indices) - 1}):
                return found
            self._fast = None
        return np.array([self._own(index) for index in indices.tolist()], np.int64)


class Windows:
    """Shuffles windows of elements as ``own`` does, which is compared with wherever a window has another length than
    the one before it."""

    def __init__(self, own: Callable[[list[Any], int], list[Any]]) -> None:
        self._own = own
        self._agreed = 0
        """The length of the window before."""

    def __call__(self, window: list[Any], seed: int) -> list[Any]:
        """The elements of ``window`` in the order that ``seed`` gives them."""
        length = len(window)
        if not length or not 0 <= seed <= _WORD:
            return self._own(window, seed)
        order = shuffled(np.arange(length), length, seed).tolist()
        if length != self._agreed and self._own(list(range(length)), seed) != order:
            return self._own(window, seed)
        self._agreed = length
        return [window[place] for place in order]


@functools.lru_cache(maxsize=4)
def _whole(length: int, seed: int) -> Ints:
    """A shuffle of at most 2^16 + 1 positions as a whole; the one that 16 bits do not hold is taken for 0."""
    numbers = np.arange(1 << _LEAST_BITS)
    once = _encrypted(numbers.astype(np.uint32), _LEAST_BITS, _keys(seed)).astype(np.int64)
    found = once[:length]
    onward = np.where(numbers < length, numbers, once)
    while (found >= length).any():
        found = onward[found]
        onward = onward[onward]  # twice as far
    return found


def _encrypted(numbers: Words, bits: int, keys: list[int]) -> Words:
    """Each number under the cipher of ``bits`` bits; of larger numbers, what these hold of them."""
    word = bits // 2
    mask = np.uint32((1 << word) - 1)
    left, right = numbers >> word & mask, numbers & mask
    for first, second in zip(keys[::2], keys[1::2], strict=True):
        left ^= (_mixed(right, word) ^ np.uint32(first)) & mask
        right ^= (_mixed(left, word) ^ np.uint32(second)) & mask
    return left << word | right


def _mixed(words: Words, size: int) -> Words:
    """What a round of Simon makes of one half. Bits beyond ``size`` are anything."""
    return (_rotated(words, 1, size) & _rotated(words, 8, size)) ^ _rotated(words, 2, size)


def _rotated(words: Words, by: int, size: int) -> Words:
    return words << by | words >> (size - by)


def _keys(seed: int) -> list[int]:
    """``std::seed_seq{seed}.generate`` for the four rounds, as ISO C++ [rand.util.seedseq] has it."""
    keys = [0x8B8B8B8B] * _ROUNDS
    for step in range(_ROUNDS):
        here, near, far = step % _ROUNDS, (step + 1) % _ROUNDS, (step + 2) % _ROUNDS
        mixed = _folded(keys[here] ^ keys[near] ^ keys[step - 1]) * 1664525 & _WORD
        more = mixed + (1 if step == 0 else step + seed if step == 1 else step) & _WORD
        keys[near] = keys[near] + mixed & _WORD
        keys[far] = keys[far] + more & _WORD
        keys[here] = more
    for step in range(_ROUNDS, 2 * _ROUNDS):
        here, near, far = step % _ROUNDS, (step + 1) % _ROUNDS, (step + 2) % _ROUNDS
        mixed = _folded(keys[here] + keys[near] + keys[(step - 1) % _ROUNDS] & _WORD) * 1566083941 & _WORD
        less = mixed - here & _WORD
        keys[near] ^= mixed
        keys[far] ^= less
        keys[here] = less
    return keys


def _folded(word: int) -> int:
    return word ^ word >> 27
