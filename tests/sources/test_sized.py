"""Dataset.of: arrays, lengths, and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.errors import DatasetError
from coverage_audit.model.shards import Shard
from coverage_audit.sources.dataset import Dataset


class Unsized:
    def __len__(self) -> int:
        raise TypeError("infinite")


@pytest.mark.parametrize(
    ("thing", "rows"),
    [(3190, 3190), (0, 0), (np.int64(5), 5), (np.zeros((3, 4)), 3), ([7, 8], 2), (range(10**12), 10**12), ((1, 2), 2)],
)
def test_rows(thing: Any, rows: int) -> None:
    data = Dataset.of(thing)

    assert data.shards.items == (Shard("data", rows),)
    assert (data.rows, data.paths, data.partners) == (rows, (None,), ((),))


def test_a_name() -> None:
    assert Dataset.of(3, name="mnist").shards.items == (Shard("mnist", 3),)


def test_a_mapping_is_a_list_of_shards() -> None:
    data = Dataset.of({"a": 3, "b": np.zeros((2, 2)), "c": np.zeros((4, 2))})

    assert data.shards.items == (Shard("a", 3), Shard("b", 2), Shard("c", 4))


def test_the_file_of_a_memory_map_is_known(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    assert Dataset.of(mapped).paths == (tmp_path / "x.npy",)
    assert Dataset.of(mapped[2:]).paths == (None,)  # its row 0 is not the file's


def test_a_torch_tensor_and_its_loader() -> None:
    torch = pytest.importorskip("torch")

    assert Dataset.of(torch.zeros(6, 2)).rows == 6
    with pytest.raises(DatasetError) as caught:
        Dataset.of(torch.utils.data.DataLoader(list(range(10)), batch_size=5))
    assert str(caught.value) == (
        "len() of a DataLoader counts batches: give the number of rows, or the arrays behind it [counts-batches]"
    )


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (-1, "rows is -1: a number of rows is 0 or more [negative-rows]"),
        (np.array(3), "a 0-d ndarray has no rows: give an array with at least one axis [no-rows-axis]"),
        (True, "True is not a number of rows: give a whole number [not-rows]"),
        (2.0, "2.0 is not a number of rows: give a whole number [not-rows]"),
        ("x_*.npy", "'x_*.npy' is a path or text, not data: use Dataset.open for files [not-rows]"),
        (
            (np.zeros(3), np.zeros(3)),
            "a tuple of 2 arrays is taken for (x, y): give the one whose rows are counted [not-rows]",
        ),
        (
            {"x": np.zeros((3, 2)), "y": np.zeros(3)},
            "the arrays 'x', 'y' hold rows of different kinds, as the columns of one table do: give one of them (a "
            "mapping is a list of shards) [mixed-arrays]",
        ),
        ({}, "an empty mapping has no shards: name at least one [not-rows]"),
        (
            {1: 3, "1": 4},
            "two shards are named '1': a report tells rows by shard, so give each a name of its own [same-shard-twice]",
        ),
        (Unsized(), "Unsized has no length (infinite): give the number of rows instead [no-length]"),
        (
            iter([]),
            "list_iterator has no length (object of type 'list_iterator' has no len()): give the number of rows "
            "instead [no-length]",
        ),
    ],
)
def test_refused(thing: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        Dataset.of(thing)

    assert str(caught.value) == message
