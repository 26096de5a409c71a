"""Shuffles of many positions at once are those that Grain makes one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grain
import numpy as np
import pytest
from grain._src.python.dataset.transformations.shuffle import _reshuffle_window, index_shuffle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coverage_audit.adapters.grain_ids import make_twin
from coverage_audit.adapters.grain_shuffle import Checked, Windows, shuffled

AROUND_POWERS = sorted(
    {max(1, 2**bits + more) for bits in range(33) for more in (-1, 0, 1, 2) if 2**bits + more <= 2**32}
)
lengths = st.sampled_from(AROUND_POWERS) | st.integers(1, 2**32)
seeds = st.sampled_from([0, 1, 2**32 - 1]) | st.integers(0, 2**32 - 1)


def slow(index: int, length: int, seed: int) -> int:
    return int(index_shuffle.index_shuffle(index, max_index=length - 1, seed=seed, rounds=4))


class TestShuffled:
    @settings(max_examples=150, deadline=None)
    @given(lengths, seeds, st.data())
    def test_any_position_of_any_shuffle(self, length: int, seed: int, data: st.DataObject) -> None:
        indices = [0, *data.draw(st.lists(st.integers(0, length - 1), max_size=8)), length - 1]
        found = shuffled(np.array(indices, np.int64), length, seed)
        assert found.tolist() == [slow(index, length, seed) for index in indices]

    @pytest.mark.parametrize("length", [2, 700, 65_536, 65_537, 65_539])
    def test_whole_shuffles(self, length: int) -> None:
        found = shuffled(np.arange(length, dtype=np.int64), length, 11).tolist()
        step = max(1, length // 400)
        assert found[::step] == [slow(index, length, 11) for index in range(0, length, step)]

    def test_one_row_more_than_a_block_of_bits_is_lost_as_grain_loses_it(self) -> None:
        """GIVEN 65,537 positions WHEN Grain shuffles them THEN two are the same one, and so they are here."""
        found = shuffled(np.arange(65_537, dtype=np.int64), 65_537, 3)
        assert slow(0, 65_537, 3) == slow(65_536, 65_537, 3) == found[0] == found[65_536]
        assert len(np.unique(found)) == 65_536

    @pytest.mark.parametrize(("length", "seed"), [(2**32 + 1, 0), (10, 2**32), (10, -1), (0, 0)])
    def test_what_is_beyond_32_bits_is_refused(self, length: int, seed: int) -> None:
        with pytest.raises(ValueError, match="no shuffle of"):
            shuffled(np.arange(1), length, seed)


def squares(index: int) -> int:
    return index * index


class TestChecked:
    """The fast way is used only as long as it agrees with the slow one."""

    @pytest.mark.parametrize(
        "fast",
        [
            lambda at: at * at,
            lambda at: at + 1,
            lambda at: np.where(at == 4, 0, at * at),
            lambda at: shuffled(at, 0, 0),
        ],
        ids=["right", "wrong", "wrong at the last", "refuses"],
    )
    def test_what_it_says_is_right(self, fast: Callable[[Any], Any]) -> None:
        place = Checked(fast, squares)
        assert place(np.array([2, 1, 3, 0, 4])).tolist() == [4, 1, 9, 0, 16]
        assert place(np.array([7])).tolist() == [49]
        assert place(np.array([], np.int64)).tolist() == []

    def test_it_asks_for_three_positions_of_a_block(self) -> None:
        asked: list[int] = []

        def own(index: int) -> int:
            asked.append(index)
            return squares(index)

        place = Checked(lambda at: at * at, own)
        place(np.arange(1000))
        assert sorted(asked) == [0, 500, 999]


class TestWindows:
    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 60), seeds), max_size=3))
    @example([(60, 5), (60, 6), (7, 7)])
    def test_windows_come_in_the_order_of_grain(self, windows: list[tuple[int, int]]) -> None:
        mine = Windows(_reshuffle_window)
        for length, seed in windows:
            window = [f"element {number}" for number in range(length)]
            assert mine(window, seed) == _reshuffle_window(window, seed)

    def test_windows_that_grain_orders_otherwise_are_ordered_by_grain(self) -> None:
        mine = Windows(lambda window, seed: window[::-1])
        assert [mine([1, 2, 3], 0), mine([1, 2, 3], 1)] == [[3, 2, 1]] * 2


class Many:
    def __len__(self) -> int:
        return 5_000

    def __getitem__(self, index: int) -> int:
        return index


UNTHREADED = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)


@pytest.mark.parametrize(
    "pipeline",
    [
        grain.MapDataset.source(Many()).shuffle(seed=3).repeat(2)[7::3].batch(64),
        grain.MapDataset.source(Many()).shuffle(seed=3).repeat(2).to_iter_dataset(UNTHREADED).batch(64),
        grain.experimental.WindowShuffleIterDataset(
            grain.experimental.WindowShuffleMapDataset(
                grain.MapDataset.source(Many()), window_size=700, seed=5
            ).to_iter_dataset(UNTHREADED),
            window_size=300,
            seed=1,
        ),
    ],
    ids=["batches have positions", "elements have positions", "windows"],
)
def test_pipelines_of_many_blocks_also_when_set_back(pipeline: Any) -> None:
    """GIVEN more positions than are asked for at once WHEN a state is set THEN ids go on from there."""
    real = [np.atleast_1d(element).tolist() for element in pipeline]
    twin = make_twin(pipeline).steps
    start = twin.get_state()
    ids = [flat(next(twin)) for _ in range(len(real))]
    assert ids == real
    twin.set_state(start)
    assert [flat(next(twin)) for _ in range(5)] == real[:5]


def flat(element: Any) -> list[int]:
    return [element] if isinstance(element, int) else list(element)
