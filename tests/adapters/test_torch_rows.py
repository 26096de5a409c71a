"""From positions in a dataset to rows of the declared data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from coverage_audit.adapters.torch_rows import Positions, positions_of
from coverage_audit.adapters.whole_numbers import whole_numbers


class Numbers(Dataset[int]):
    """Each sample is its own row."""

    def __init__(self, first: int, n: int) -> None:
        self.first, self.n = first, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        if not -self.n <= i < self.n:
            raise IndexError(i)
        return self.first + i % self.n


class Holder(Dataset[Any]):
    """A dataset of the user's own around another one: what it does with positions is its own affair."""

    def __init__(self, dataset: Any, n: int) -> None:
        self.dataset, self.indices, self.n = dataset, range(n), n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return self.dataset[i // 2]


BASES = [Numbers(0, 3), Numbers(3, 1), Numbers(4, 5)]


def views(of: Any) -> Any:
    """Subsets of, and several, of what there is."""

    def subset(dataset: Any) -> Any:
        n = len(dataset)
        return st.lists(st.integers(0, n - 1), min_size=1, max_size=8).map(lambda at: Subset(dataset, at))

    return of.flatmap(subset) | st.lists(of, min_size=1, max_size=3).map(ConcatDataset)


@settings(deadline=None)
@given(st.recursive(st.sampled_from(BASES), views, max_leaves=6))
def test_positions_are_the_rows_that_are_read(dataset: Any) -> None:
    """GIVEN any nest of Subset and ConcatDataset over all bases in order THEN each position is the row it reads."""
    whole: Any = ConcatDataset([*BASES, dataset])
    positions = positions_of(whole, 9)
    assert isinstance(positions, Positions)
    asked = np.arange(len(whole))
    ids = positions.ids(asked)
    assert ids is not None
    assert ids.tolist() == [whole[int(at)] for at in asked]


@pytest.mark.parametrize(
    ("dataset", "rows", "n_ids"),
    [
        (Numbers(0, 3), 3, 4),
        (Subset(Numbers(0, 9), [0, 1, 2]), 9, 3),
        (Holder(Numbers(0, 9), 18), 18, 9),
        (ConcatDataset([Numbers(0, 3), Numbers(3, 1)]), 4, 9),
    ],
)
def test_other_data_than_declared_has_no_rows(dataset: Any, rows: int, n_ids: int) -> None:
    assert positions_of(dataset, n_ids) == (
        f"the loader's dataset is made of {rows} rows, the declared data of {n_ids}: declare all of them, and those "
        "that are used with .select()"
    )


def test_one_base_met_twice_is_one() -> None:
    base = TensorDataset(torch.arange(5))
    positions = positions_of(ConcatDataset([Subset(base, [4, 3]), base]), 5)
    assert isinstance(positions, Positions)
    ids = positions.ids([0, 1, 2, 6])
    assert ids is not None
    assert ids.tolist() == [4, 3, 0, 4]


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ([3, 0], [3, 0]),
        ([], []),
        (3, [3]),
        (-1, [-1]),
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        (np.int32(4), [4]),
        (np.array([1, 2], np.uint8), [1, 2]),
        ([np.int64(1), torch.tensor(2)], [1, 2]),
        (torch.tensor(5), [5]),
        (torch.tensor([5, 0]), [5, 0]),
        (True, None),
        ([True, 1], None),
        ([1.0], None),
        (np.array([0.0]), None),
        (np.array([True]), None),
        (torch.tensor([True]), None),
        (torch.tensor(1.0), None),
        ([[1]], None),
        ([(1, 2)], None),
        (np.zeros((2, 2), int), None),
        ("1", None),
        (None, None),
        (slice(0, 2), None),
        ({"at": 1}, None),
        ([2**70], None),
    ],
)
def test_whole_numbers_of_any_kind(asked: Any, read: list[int] | None) -> None:
    numbers = whole_numbers(asked)
    assert (None if numbers is None else numbers.tolist()) == read


@pytest.mark.parametrize("asked", [[5], [-6], [0, 99], "x"])
def test_positions_outside_have_no_rows(asked: Any) -> None:
    positions = positions_of(Numbers(0, 5), 5)
    assert isinstance(positions, Positions)
    assert positions.ids(asked) is None
