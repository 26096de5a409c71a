"""Arrays in memory as part of a dataset: what is kept of them, when, and what is not."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.errors import DatasetError
from coverage_audit.sources import held
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.held import HeldArray
from coverage_audit.sources.index import find_index
from coverage_audit.sources.row_hashes import hash_rows

X = np.random.default_rng(0).normal(size=(50, 6)).astype("f4")


def held_of(data: Dataset) -> list[HeldArray | None]:
    assert data.held is not None
    return list(data.held.arrays)


def only(data: Dataset) -> HeldArray:
    (array,) = held_of(data)
    assert array is not None
    return array


def test_long_rows_are_kept_as_hashes_of_the_memory_itself() -> None:
    x = X.copy()
    array = only(Dataset.of(x))

    assert np.shares_memory(array.array, x)
    assert array.hashes is not None
    assert array.hashes.tolist() == hash_rows(x).tolist()
    assert array.numbers is None


@pytest.mark.parametrize("x", [np.arange(9.0), np.arange(12, dtype="u1").reshape(4, 3), np.zeros((0, 4)), np.zeros(0)])
def test_short_rows_are_kept_themselves(x: Any) -> None:
    array = only(Dataset.of(x))
    was = x.copy()
    x[:] = 77

    assert array.is_taken
    if x.ndim == 1 or x.shape[1] == 3:
        assert array.hashes is None
        assert array.numbers is not None
        assert array.numbers.tolist() == was.tolist()


def test_rows_are_read_as_they_were_declared_or_not_at_all() -> None:
    x, y = X.copy(), np.arange(50)
    contents = Contents(Dataset.of({"x": x, "n": np.zeros((3, 6), "f4")}))
    numbers = Contents(Dataset.of(y))
    rows = np.array([4, 0, 4])

    assert contents.read(0, rows).tolist() == X[[4, 0, 4]].tolist()
    x[4] = 0
    y[:] = 0
    with pytest.raises(DatasetError, match=r"rows of x .*written to after it was declared.*unreadable-rows"):
        contents.read(0, rows)
    assert contents.read(0, np.array([3, 5])).tolist() == X[[3, 5]].tolist()
    assert numbers.read(0, rows).tolist() == [4, 0, 4]
    assert [block.tolist() for _, block in numbers.blocks(0, 30)] == [list(range(30)), list(range(30, 50))]


def test_what_is_read_is_not_the_memory() -> None:
    x = X.copy()
    for rows in (np.arange(50), np.array([3])):
        Contents(Dataset.of(x)).read(0, rows)[:] = 0
    assert x.tolist() == X.tolist()


def test_other_things_are_only_lengths() -> None:
    import pandas as pd

    for thing in (50, range(50), [1, 2], np.array(["a", None], object), pd.DataFrame({"a": [1, 2]})):
        assert Dataset.of(thing).held is None


def test_files_are_known_by_their_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    assert Dataset.of(mapped).held is None
    beside, own = held_of(Dataset.of({"file": mapped, "part": mapped[:20]}))
    assert beside is None
    assert own is not None
    assert own.rows == 20


def test_tensors_of_the_cpu_share_their_memory() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    array = only(Dataset.of(x)).array

    assert array.tolist() == X.tolist()
    with torch.no_grad():
        x[0] = 5
    assert array[0].tolist() == [5] * 6
    assert Dataset.of(torch.zeros((4, 8), dtype=torch.bfloat16)).held is None
    assert Dataset.of(torch.zeros((4, 8), device="meta")).held is None


def test_a_selection_shares_what_was_kept() -> None:
    data = Dataset.of(X)
    assert data.select([3, 4]).held is data.held


def test_nothing_of_it_is_saved_or_pickled(tmp_path: Path) -> None:
    data = Dataset.of(X)
    data.save(tmp_path / "data.json")

    assert sorted(json.loads((tmp_path / "data.json").read_text())) == [
        *("format", "partners", "paths", "selected", "shards")
    ]
    assert len(pickle.dumps(data)) < 2000
    other = pickle.loads(pickle.dumps(data))
    assert (other, other.held) == (data, None)
    assert Dataset.load(tmp_path / "data.json").held is None
    assert copy.deepcopy(data).held is data.held


def test_large_arrays_wait_for_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_BYTES", X.nbytes - 1)
    x = X.copy()
    data = Dataset.of(x)
    assert not only(data).is_taken
    with pytest.raises(DatasetError, match=r"too many to be looked through unasked; call Dataset.index\(\) beforehand"):
        Contents(data).read(0, np.array([0]))

    told: list[tuple[int, int]] = []
    index = data.index(progress=lambda done, total: told.append((done, total)))

    assert told[0] == (x.nbytes, x.nbytes)
    assert told[-1] == (100, 100)
    assert repr(index) == "ContentIndex(50 different rows of 1 shard; in memory)"
    assert find_index(data) is index
    x[:] = 0
    assert Dataset.index(data).groups == 0, "as it was when it was indexed first"


@pytest.mark.parametrize(("limit", "value"), [("MOST_ROWS", 49), ("MOST_MAPPED", 1199)])
def test_limits(limit: str, value: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = np.memmap(tmp_path / "x.bin", "f4", "w+", shape=(60, 6))
    monkeypatch.setattr(held, limit, value)
    assert not only(Dataset.of(whole[:50])).is_taken
    assert only(Dataset.of(whole[:49])).is_taken
    assert only(Dataset.of(X)).is_taken == (limit == "MOST_MAPPED")


def test_an_index_after_a_transform() -> None:
    data = Dataset.of(np.arange(40.0).reshape(10, 4))
    index = data.index(transform=lambda rows: (rows // 8).astype("f8"), progress=False)

    assert (index.groups, index.rows_in_groups) == (5, 10)
    assert find_index(data) is index


def test_no_file_holds_an_index_of_memory(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nothing would say whether a file still fits them.*unwritable-index"):
        Dataset.of(X).index(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_identical_rows_of_all_arrays() -> None:
    data = Dataset.of({"a": X[[0, 1, 2, 1]], "b": X[[3, 2]]})
    assert data.held is not None
    assert [twins.tolist() for twins in data.held.twins] == [[False, True, True, True], [False, True]]


def test_no_framework_is_imported() -> None:
    """In a process of its own: others have imported everything."""
    code = (
        "import sys, numpy as np, coverage_audit as ca; ca.Dataset.of(np.zeros((9, 9)));"
        "print([m for m in ('pandas', 'pyarrow', 'torch', 'tensorflow', 'keras') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_labels_are_no_name() -> None:
    with pytest.raises(DatasetError, match=r"name=array\(\[1, 2\]\) is of type ndarray: .* as a mapping") as caught:
        Dataset.of(X[:2], np.array([1, 2]))  # type: ignore[arg-type]
    assert caught.value.slug == "not-rows"
