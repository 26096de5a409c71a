"""Batches on their way from the loader to the training step: do they still hold what they held when they were yielded?

A trainer keeps what it peeked at, and tf.data pulls ahead and takes over the memory of arrays without a copy. A loader
that shuffles its arrays in place, or fills one buffer again and again, then writes into batches that were not trained
on yet, and nothing tells what the step saw.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.batches import Answer, leaves
from coverage_audit.locks import new_lock

AT_MOST = 32
"""Batches that are looked after, the latest ones."""

NUMBERS = 256
"""Of each array, evenly spread: what is shuffled or filled anew changes nearly everywhere."""

Array = npt.NDArray[Any]


class _Batch(NamedTuple):
    """``memory``: where its arrays lie, see :func:`_memory_of`. ``held``: some of what that held."""

    number: int
    memory: tuple[weakref.ref[Array] | Array, ...]
    held: list[bytes]


class _Kept(NamedTuple):
    """What a trainer keeps of its peek. ``places``: the arrays by where they lie; alive, so that no address is used
    twice. ``held``: what all of these held, and ``rows``: those of the batch, when it was yielded."""

    number: int
    places: dict[tuple[int, tuple[int, ...]], Array]
    held: dict[tuple[int, tuple[int, ...]], bytes]
    rows: Answer


class Flight:
    """The batches of one split that were yielded and not yet consumed, in order."""

    __slots__ = ("__weakref__", "_batches", "_kept", "_lock", "_peeked")

    def __init__(self) -> None:
        self._lock = new_lock(self)  # a prefetch thread adds while the training loop consumes
        self._batches: deque[_Batch] = deque(maxlen=AT_MOST)
        self._peeked: list[_Batch] = []
        self._kept: list[_Kept] | None = None
        """Those of the peek that goes on; None from the first step on, and once it was found out."""

    def begin(self) -> None:
        """A trainer begins to peek: what it had pulled before is dropped."""
        with self._lock:
            self._batches.clear()
            self._peeked.clear()
            self._kept = []

    def replay(self) -> None:
        """The batches that were peeked at are handed out once more, from the memory they are kept in."""
        with self._lock:
            self._batches.clear()
            self._batches.extend(self._peeked)

    def add(self, number: int, batch: Any, rows: Answer, *, peeked: bool) -> list[int]:
        """A batch was yielded. Arrays that cannot be written to are not looked after, nor those of other libraries.

        Returns the numbers of the batches of a peek, this one among them, that lie in the same memory and held other
        rows: what is replayed of them is not what was yielded. Told once for each peek.
        """
        arrays = [leaf for leaf in leaves(batch) if isinstance(leaf, np.ndarray)]
        memory = tuple(_memory_of(leaf) for leaf in arrays if leaf.flags.writeable and not leaf.dtype.hasobject)
        one = _Batch(number, memory, [_held_by(where) or b"" for where in memory])
        with self._lock:
            self._batches.append(one)
            if peeked:
                self._peeked.append(one)
                places = _places(arrays)
                held = {place: _digest(array) for place, array in places.items()}
                return self._overwritten(_Kept(number, places, held, rows))
            return []

    def _overwritten(self, one: _Kept) -> list[int]:
        if self._kept is None:
            return []
        shared = [
            each.number for each in self._kept if not _are_same(each.rows, one.rows) and _is_filled_anew(each, one)
        ]
        self._kept.append(one)
        if shared:
            self._kept = None
            shared.append(one.number)
        return shared

    def consumed(self, steps: int) -> list[int]:
        """``steps`` more are consumed. The numbers of those in flight that were written into; each is told once."""
        changed = []
        with self._lock:
            self._kept = None
            for _ in range(len(self._batches)):
                one = self._batches.popleft()
                if _is_changed(one):
                    changed.append(one.number)
                    one = one._replace(memory=(), held=[])
                if steps > 0:
                    steps -= 1
                else:
                    self._batches.append(one)
        return changed


def _places(arrays: list[Array]) -> dict[tuple[int, tuple[int, ...]], Array]:
    return {(array.__array_interface__["data"][0], array.shape): array for array in arrays if array.size}


def _is_filled_anew(each: _Kept, one: _Kept) -> bool:
    """Whether an array of both holds something else by now. Batches may well share what stays as it is: weights of 1.

    Pointers say nothing of the objects they lead to, so a shared array of objects counts as filled anew.
    """
    shared = each.places.keys() & one.places.keys()
    return any(one.places[place].dtype.hasobject or each.held[place] != one.held[place] for place in shared)


def _digest(array: Array) -> bytes:
    if array.dtype.hasobject:
        return b""
    return hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _are_same(one: Answer, other: Answer) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and not isinstance(one, np.ndarray) and str(one) == str(other)


def _is_changed(batch: _Batch) -> bool:
    now = map(_held_by, batch.memory)
    return any(there is not None and there != held for there, held in zip(now, batch.held, strict=True))


def _memory_of(array: Array) -> weakref.ref[Array] | Array:
    """Where ``array`` lies. Memory of its own is not kept alive by us: once nobody has it any more, it was used. A part
    of a larger one outlives the array, in a tensor that took it over as well as in what the loader goes on writing."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return weakref.ref(owner) if owner.base is None and owner.nbytes <= 2 * array.nbytes else array


def _held_by(memory: weakref.ref[Array] | Array) -> bytes | None:
    """Some of what the memory holds now; None if it is gone."""
    array = memory() if isinstance(memory, weakref.ref) else memory
    return None if array is None else _sample(array)


def _sample(array: Array) -> bytes:
    if array.flags.c_contiguous:
        step = max(array.size // NUMBERS, 1) | 1
        return array.reshape(-1)[::step].tobytes()
    rows = array[:: max(len(array) // 16, 1)] if array.ndim else array
    return rows.reshape(-1)[:: max(rows.size // NUMBERS, 1) | 1].tobytes()
