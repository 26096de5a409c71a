"""What is remembered of an array costs what is done with it, not what there is of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from coverage_audit.identity.provenance import shadow_of, track

ROWS = 1 << 18
Ids = npt.NDArray[np.int64]


def exchange_parts(array: npt.NDArray[np.int64]) -> None:
    kept = array[:64].copy()
    array[:64] = array[64:128]
    array[64:128] = kept


def exchange_by_index(array: npt.NDArray[np.int64]) -> None:
    array[[5, 70]] = array[[70, 5]]


def augment(array: npt.NDArray[np.int64]) -> None:
    batch = array[128:192]
    batch[...] = -batch


@pytest.mark.parametrize("step", [exchange_parts, exchange_by_index, augment])
def test_a_write_does_not_copy_all_ids(step: Callable[[npt.NDArray[np.int64]], None]) -> None:
    """GIVEN many rows in no order WHEN few are read and written by turns THEN only those cost memory."""
    order = np.random.default_rng(0).permutation(ROWS)
    array = track(order.copy(), order)
    step(array)  # from here on the ids are its own
    tracemalloc.start()
    try:
        step(array)
        assert tracemalloc.get_traced_memory()[1] < ROWS
    finally:
        tracemalloc.stop()
    known = shadow_of(array)
    assert isinstance(known, np.ndarray)
    assert (known == np.abs(np.asarray(array))).all()


def test_batches_keep_their_rows_when_the_array_is_written_to() -> None:
    """GIVEN parts that were read, small, large and all WHEN the array is overwritten THEN they are what they were."""
    array = track(np.arange(40), np.arange(40)[::-1].copy())
    shadows = [shadow_of(array[2:4]), shadow_of(array[:30]), shadow_of(array), shadow_of(array[:0:-2])]
    array[...] = array[::-1].copy()
    array[3] = array[5]
    assert [s.tolist() for s in shadows if isinstance(s, np.ndarray)] == [
        [37, 36],
        [*range(39, 9, -1)],
        [*range(39, -1, -1)],
        [*range(0, 40, 2)],
    ]
