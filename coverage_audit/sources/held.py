"""Arrays in memory, and what their rows were when they were declared.

Memory may be written to at any time, so the array itself proves nothing later on. What is kept is a hash of each row,
or the rows themselves where these are no longer than a hash: rows are always those of the moment of declaration. What
the memory still holds is believed only as far as it agrees with that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints
from coverage_audit.sources.progress import Progress, progress_of
from coverage_audit.sources.row_hashes import SHORTEST, Hashes, hash_rows
from coverage_audit.sources.stored import Array, StoredArray, unreadable

if TYPE_CHECKING:
    from coverage_audit.sources.index import ContentIndex

MOST_BYTES = 1 << 32
"""Arrays up to this size together are looked through when they are declared: a second, where rows are long."""

MOST_MAPPED = 1 << 28
"""The same for memory maps, which may have to be read from a disk."""

MOST_ROWS = 1 << 21
"""Rows up to which hashes are taken when arrays are declared: some 0.2 µs each."""

_BLOCK = 1 << 23

Told = Callable[[int], object]


class HeldArray(StoredArray):
    """One array in memory. :meth:`read` and :meth:`blocks` give the rows as they were declared, or raise
    :class:`DatasetError` (unreadable-rows) where the memory was written to since.

    ``seen``: gives the very memory, never a copy; asked each time, as torch moves tensors that it shares with other
    processes. ``hashes``: uint64 (rows,), of rows longer than a hash. ``numbers``: a copy of all the others. Both are
    None until :meth:`take`.
    """

    def __init__(self, name: str, seen: Callable[[], Array]) -> None:
        self._seen = seen
        array = seen()
        self._nbytes = array.nbytes
        super().__init__(name, name)
        self.dtype, self.row_shape, self.rows = array.dtype, array.shape[1:], array.shape[0]
        self.hashes: Hashes | None = None
        self.numbers: Array | None = None

    @property
    def array(self) -> Array:
        """The memory, as it is now."""
        return self._seen()

    @property
    def is_short(self) -> bool:
        """Whether rows are kept themselves: single numbers, and rows that are no longer than their hash."""
        return (not self.row_shape and self.dtype.kind in "iufb") or self.row_bytes <= SHORTEST

    @property
    def is_taken(self) -> bool:
        return self.hashes is not None or self.numbers is not None

    def take(self, told: Told | None = None) -> None:
        """Keep what the rows are now; nothing happens if that was done before. ``told`` hears of bytes."""
        if self.is_taken:
            return
        if self.is_short:
            self.numbers = np.array(self.array, order="C")
            return
        array, hashes = self.array, np.empty(self.rows, np.uint64)
        step = max(_BLOCK // self.row_bytes, 1)
        for at in range(0, self.rows, step):
            block = array[at : at + step]
            hashes[at : at + step] = hash_rows(block)
            if told is not None:
                told(block.nbytes)
        self.hashes = hashes

    def as_declared(self, rows: slice | Ints) -> bool:
        """Whether the memory holds at these places what it held then; they must have been looked through."""
        live = self.array[rows]
        if self.numbers is not None:
            return live.tobytes() == self.numbers[rows].tobytes()
        assert self.hashes is not None
        return np.array_equal(hash_rows(live), self.hashes[rows])

    def _piece(self, start: int, stop: int) -> Array:
        return self._declared(slice(start, stop))

    def _take(self, rows: Ints) -> Array:
        return self._declared(rows)

    def _declared(self, rows: slice | Ints) -> Array:
        if self.numbers is not None:
            return self.numbers[rows].copy()
        if self.hashes is None:
            raise too_large(self.name, self._nbytes)
        live = np.array(self.array[rows], order="C")
        if not np.array_equal(hash_rows(live), self.hashes[rows]):
            raise unreadable(self.name, "the array was written to after it was declared")
        return live

    def _look(self) -> tuple[int, int, int]:
        return self._nbytes, 0, 0


class Held:
    """The arrays in memory of a dataset, per shard; None for shards that are something else.

    They belong to this process (and to those forked from it): what is pickled of them is nothing. ``index``: made by
    :meth:`Dataset.index`.
    """

    def __init__(self, arrays: tuple[HeldArray | None, ...]) -> None:
        self.arrays = arrays
        self.index: ContentIndex | None = None

    @property
    def known(self) -> tuple[HeldArray, ...]:
        return tuple(array for array in self.arrays if array is not None)

    @cached_property
    def twins(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Per shard bool (rows,): which rows equal another one of any shard; empty where rows have no hashes."""
        empty = np.empty(0, np.uint64)
        hashes = [empty if array is None or array.hashes is None else array.hashes for array in self.arrays]
        all_hashes = np.concatenate(hashes)
        order = np.argsort(all_hashes)
        same = np.diff(all_hashes[order]) == 0
        twins = np.zeros(len(all_hashes), np.bool_)
        twins[order[1:][same]] = True
        twins[order[:-1][same]] = True
        return tuple(np.split(twins, np.cumsum([len(of_shard) for of_shard in hashes])[:-1]))

    def take(self, progress: Progress = None) -> None:
        """Look through all arrays, however large."""
        left = [array for array in self.known if not array.is_taken]
        total = sum(array.array.nbytes for array in left if not array.is_short)
        with progress_of(progress, f"rows of {len(left):,} arrays in memory", total) as told:
            for array in left:
                array.take(told)

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()

    def __deepcopy__(self, _memo: Any) -> Held:
        return self


def hold(names: Sequence[str], things: Sequence[Any], paths: Sequence[Path | None]) -> Held | None:
    """The arrays among ``things`` that have no file, looked through if they are not too large together.

    Held are numpy arrays (memory maps of parts of files, too) and tensors of torch and TensorFlow in the memory of the
    CPU, without a copy. None if there is none of these.
    """
    arrays: list[HeldArray | None] = []
    for name, thing, path in zip(names, things, paths, strict=True):
        seen = None if path is not None else _way_to(thing)
        arrays.append(None if seen is None else HeldArray(name, seen))
    held = Held(tuple(arrays))
    if not held.known:
        return None
    if not _is_too_large(held.known):
        held.take()
    return held


def _way_to(thing: Any) -> Callable[[], Array] | None:
    """What sees the memory of an array or a tensor as an ordinary array; None for anything else."""
    package = type(thing).__module__.partition(".")[0]
    if isinstance(thing, np.ndarray):
        seen = partial(_of_numpy, thing)
    elif package == "torch":
        seen = partial(_of_torch, thing)
    elif package == "tensorflow":
        seen = partial(_of_tensorflow, thing)
    else:
        return None
    try:
        first = seen()
    except Exception:  # noqa: BLE001 - symbolic, sparse, of a type that numpy has not: then it is not held
        return None
    return None if first.ndim == 0 or first.dtype.hasobject else seen


def _of_numpy(array: Array) -> Array:
    return np.ndarray.view(array, np.ndarray)


def _of_tensorflow(tensor: Any) -> Array:
    return np.asarray(memoryview(tensor))


def _of_torch(tensor: Any) -> Array:
    """Raises where the tensor is not in the memory of the CPU, or of a type that numpy has not."""
    if tensor.device.type != "cpu":
        raise TypeError(f"a tensor on {tensor.device}")
    return np.asarray(tensor.detach())


def too_large(name: str, n_bytes: int) -> Exception:
    """The error for rows of an array that was not looked through."""
    return unreadable(
        name, f"its {n_bytes >> 20:,} MiB are too many to be looked through unasked; call Dataset.index() beforehand"
    )


def _is_too_large(arrays: Sequence[HeldArray]) -> bool:
    mapped = sum(array.array.nbytes for array in arrays if _is_mapped(array.array))
    if sum(array.array.nbytes for array in arrays) > MOST_BYTES or mapped > MOST_MAPPED:
        return True
    short = sum(array.array.nbytes for array in arrays if array.is_short)
    return short > MOST_MAPPED or sum(array.rows for array in arrays if not array.is_short) > MOST_ROWS


def _is_mapped(array: Array) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def _nothing() -> None:
    return None
