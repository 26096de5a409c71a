"""Batches on their way to the training step: those that were written into are told before they are consumed."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.recorder.flight import Flight


def rows_of(number: int) -> npt.NDArray[np.int64]:
    return np.arange(16 * number, 16 * number + 16)


def flight_of(*batches: Any) -> Flight:
    flight = Flight()
    for number, batch in enumerate(batches):
        flight.add(number, batch, rows_of(number), peeked=number < 2)
    return flight


def batch(seed: int) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(16, 12)).astype("f4")


def test_what_nobody_wrote_into_is_as_it_was() -> None:
    flight = flight_of(batch(0), batch(1), batch(2))
    assert [flight.consumed(1), flight.consumed(2)] == [[], []]


@pytest.mark.parametrize("change", ["shuffled", "filled", "scaled"])
def test_batches_in_flight_that_were_written_into_are_told_once(change: str) -> None:
    x = batch(0)
    batches = [{"image": x[:8]}, (x[8:], batch(3)), batch(1)]  # a trainer keeps what it has pulled
    flight = flight_of(*batches)
    if change == "shuffled":
        np.random.default_rng(0).shuffle(x)
    elif change == "filled":
        x[:] = batch(5)
    else:
        x *= 2
    assert flight.consumed(1) == [0, 1]
    assert flight.consumed(1) == []


def test_parts_of_a_larger_array_are_looked_after_when_nobody_has_them_any_more() -> None:
    """GIVEN views that were handed over and dropped WHEN their array is shuffled THEN tensors on it are torn."""
    x = batch(0)
    flight = Flight()
    for number in range(2):
        flight.add(number, x[8 * number : 8 * number + 8], rows_of(number), peeked=False)
    np.random.default_rng(0).shuffle(x)
    assert flight.consumed(1) == [0, 1]


def test_memory_of_a_batch_of_its_own_is_not_kept() -> None:
    x = batch(0)
    rest = weakref.ref(x)
    flight = flight_of(x[1:])
    del x
    assert (rest(), flight.consumed(1)) == (None, [])


def test_what_was_consumed_may_be_written_into() -> None:
    x, y = batch(0), batch(1)
    flight = flight_of(x, y)
    flight.consumed(1)
    x[:] = 0
    assert flight.consumed(1) == []


def test_what_was_peeked_at_is_looked_after_again_when_it_is_replayed() -> None:
    x, y = batch(0), batch(1)
    flight = flight_of(x, y, batch(2))
    assert flight.consumed(3) == []
    y[:] = 0
    flight.replay()
    assert flight.consumed(1) == [1]


def test_another_peek_begins_anew() -> None:
    x = batch(0)
    flight = flight_of(x)
    flight.begin()
    x[:] = 0
    flight.replay()
    assert flight.consumed(1) == []


def test_what_is_not_looked_at_is_never_told() -> None:
    """GIVEN read-only arrays, lists, objects, nothing THEN they pass."""
    fixed = batch(0)
    shown = fixed.view()
    shown.flags.writeable = False
    flight = flight_of(shown, [1, 2, "three"], np.array([{}, None]), None, np.empty((0, 3)), np.array(7))
    fixed[:] = 0
    assert flight.consumed(6) == []


@given(rows=st.integers(2, 70), columns=st.integers(1, 700), order=st.sampled_from("CF"), seed=st.integers(0, 99))
def test_a_batch_filled_anew_is_seen_whatever_its_shape(rows: int, columns: int, order: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = np.array(random.normal(size=(rows, columns)), order=order)
    flight = flight_of(x)
    x[:] = random.normal(size=x.shape)
    assert flight.consumed(1) == [0]


class TestPeeks:
    """A trainer keeps what it peeked at, and replays it."""

    def test_batches_of_other_rows_in_the_same_memory_are_told_once(self) -> None:
        """GIVEN one array for all batches WHEN it is filled for the second THEN neither is what will be replayed."""
        x = batch(0)
        flight = Flight()
        flight.begin()
        assert flight.add(4, (x, 1), rows_of(0), peeked=True) == []
        x[:] = batch(1)
        assert flight.add(5, (x, 2), rows_of(1), peeked=True) == [4, 5]
        assert flight.add(6, (x, 3), rows_of(2), peeked=True) == []

    def test_what_is_shared_and_stays_as_it_is_may_be_shared(self) -> None:
        """GIVEN batches of their own with one array of weights in all of them THEN they are what they were."""
        ones, scales = np.ones(16), np.asfortranarray(np.full((16, 3), 2, "datetime64[D]"))
        flight = Flight()
        flight.begin()
        yielded = [flight.add(n, (batch(n), ones, scales), rows_of(n), peeked=True) for n in range(3)]
        assert yielded == [[], [], []]
        ones[0] = 2
        assert flight.add(3, (batch(3), ones, scales), rows_of(3), peeked=True) == [0, 1, 2, 3]

    def test_also_in_what_the_trainer_cannot_write_into(self) -> None:
        x = batch(0)
        shown = x.view()
        shown.flags.writeable = False
        flight = Flight()
        flight.begin()
        assert flight.add(0, shown, rows_of(0), peeked=True) == []
        x[:] = batch(1)
        assert flight.add(1, shown[:], rows_of(1), peeked=True) == [0, 1]

    @pytest.mark.parametrize(
        "second",
        [(lambda x: x, 0), (lambda x: x[:8], 1), (lambda x: x.copy(), 1), (lambda x: x[:0], 1)],
        ids=["of the same rows", "of another shape", "of its own memory", "empty"],
    )
    def test_other_batches_are_not(self, second: tuple[Any, int]) -> None:
        x = batch(0)
        flight = Flight()
        flight.begin()
        flight.add(0, x[:0] if second[0](x).size == 0 else x, rows_of(0), peeked=True)
        assert flight.add(1, second[0](x), rows_of(second[1]), peeked=True) == []

    def test_nor_what_comes_behind_the_peek(self) -> None:
        """GIVEN a buffer that is filled again when the replayed batches are used up THEN they were what they were."""
        x = batch(0)
        flight = Flight()
        flight.begin()
        flight.add(0, x, rows_of(0), peeked=True)
        assert flight.add(1, x, rows_of(1), peeked=False) == []

    def test_batches_of_an_earlier_peek_are_forgotten(self) -> None:
        x = batch(0)
        flight = Flight()
        for number in range(2):
            flight.begin()
            assert flight.add(number, x, rows_of(number), peeked=True) == []

    def test_arrays_are_kept_no_longer_than_the_peek(self) -> None:
        x = batch(0)
        rest = weakref.ref(x)
        flight = Flight()
        flight.begin()
        flight.add(0, x, rows_of(0), peeked=True)
        flight.consumed(1)
        del x
        assert rest() is None
