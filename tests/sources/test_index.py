"""Dataset.index(): where it goes, when it is made anew, and when it is not believed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError, UsageError
from coverage_audit.identity.row_index import RowIndex
from coverage_audit.sources import indexing, progress, row_table
from coverage_audit.sources.anchors import Spacing, find_anchors
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.index import ContentIndex, find_index, index_in_memory

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 4)).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    for at in range(2):
        np.save(tmp_path / f"x_{at}.npy", X[at * 60 : (at + 1) * 60])
    return Dataset.open(tmp_path / "x_*.npy")


def rows_in(index: ContentIndex | None, rows: Array) -> list[int] | None:
    assert index is not None
    assert index.rows is not None
    told = RowIndex(index.rows).rows_of(rows)
    return None if told is None else told.tolist()


def facts_of(index: ContentIndex) -> dict[str, Any]:
    assert index.path is not None
    facts: dict[str, Any] = json.loads((index.path / "index.json").read_text())
    return facts


def test_beside_the_data_and_found_again(data: Dataset, tmp_path: Path) -> None:
    assert find_index(data) is None
    made = data.index()
    assert made.path == tmp_path / f"coverage-audit-{data.fingerprint}.index"
    assert rows_in(find_index(Dataset.open(tmp_path / "x_*.npy")), X[[99, 0, 60]]) == [99, 0, 60]
    assert rows_in(made, X[:1] + 1) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([made.path.name, "x_0.npy", "x_1.npy"])
    assert sorted(p.name for p in made.path.iterdir()) == [
        "index.json",
        "rows-buckets.npy",
        "rows-group_starts.npy",
        "rows-hashes.npy",
        "rows-members.npy",
        "rows-rows.npy",
    ]


def test_what_the_index_says_of_itself(data: Dataset, tmp_path: Path) -> None:
    state = os.stat(tmp_path / "x_1.npy")
    facts = facts_of(data.index())
    shards = facts.pop("shards")
    assert facts == {
        "format": 1,
        "fingerprint": data.fingerprint,
        "transform": None,
        "window": None,
        "groups": 0,
        "rows_in_groups": 0,
        "tables": ["rows"],
    }
    assert shards[1] == {
        "name": "x_1.npy",
        "rows": 40,
        "bytes": state.st_size,
        "modified_ns": state.st_mtime_ns,
        "dtype": "'<f4'",
        "row_shape": [4],
        "member": "",
    }


def test_what_a_prompt_shows_of_it(data: Dataset, tmp_path: Path) -> None:
    """Numbers and its place, never the arrays."""

    def standardised(rows: Array) -> Array:
        return rows / 3

    assert repr(data.index()) == (
        f"ContentIndex(100 different rows of 2 shards; in {tmp_path / f'coverage-audit-{data.fingerprint}.index'})"
    )
    assert repr(data.index(tmp_path / "t", transform=standardised)) == (
        f"ContentIndex(100 different rows of 2 shards after {standardised.__qualname__}; in {tmp_path / 't'})"
    )
    np.save(tmp_path / "twins.npy", X[[0, 1, 2, 1, 0, 0, 9]])
    twins = index_in_memory(Contents(Dataset.open(tmp_path / "twins.npy")), [7])
    assert repr(twins) == "ContentIndex(4 different rows of 1 shard; 5 identical rows in 2 groups; in memory)"
    np.arange(5000, dtype=np.uint16).tofile(tmp_path / "train.bin")
    stream = Dataset.open(f"{tmp_path / 'train.bin'}::uint16").index(tmp_path / "s")
    assert repr(stream) == f"ContentIndex(pieces of streams from 16 numbers on of 1 shard; in {tmp_path / 's'})"


def test_beside_the_manifest(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    manifest = tmp_path / "elsewhere" / "data.json"
    data.save(manifest)
    assert data.index().path == tmp_path / "elsewhere" / "data.json.index"
    assert rows_in(find_index(Dataset.load(manifest)), X[7:8]) == [7]
    assert find_index(Dataset.open(tmp_path / "x_*.npy")) is None


def test_in_a_place_of_ones_own(data: Dataset, tmp_path: Path) -> None:
    assert data.index(tmp_path / "a" / "b").path == tmp_path / "a" / "b"
    assert rows_in(find_index(data), X[7:8]) == [7]
    assert find_index(Dataset.open(tmp_path / "x_*.npy")) is None


def test_one_that_fits_is_opened_instead_of_made(data: Dataset) -> None:
    made = data.index()
    assert made.path is not None
    before = os.stat(made.path / "rows-hashes.npy").st_ino
    again = data.index()
    assert os.stat(made.path / "rows-hashes.npy").st_ino == before
    assert rows_in(again, X[7:8]) == [7]


@pytest.mark.parametrize("change", ["date", "values", "rows"])
def test_an_index_of_data_that_changed_is_not_used_and_made_anew(data: Dataset, tmp_path: Path, change: str) -> None:
    """Even a new date alone may mean new bytes."""
    data.save(tmp_path / "data.json")
    data.index()
    rows = X[60:100] if change == "date" else X[60:99] if change == "rows" else X[60:100] + 1
    np.save(tmp_path / "x_1.npy", rows)
    os.utime(tmp_path / "x_1.npy", ns=(1, 1))
    data = Dataset.open(tmp_path / "x_*.npy")
    data.save(tmp_path / "data.json")
    assert find_index(data) is None
    assert rows_in(data.index(), rows[[3, 0]]) == [63, 60]
    assert rows_in(find_index(data), rows[[3, 0]]) == [63, 60]


@pytest.mark.parametrize("damage", ["rows-hashes.npy", "rows-members.npy", "index.json"])
def test_a_damaged_index_is_none(data: Dataset, damage: str) -> None:
    made = data.index()
    assert made.path is not None
    (made.path / damage).write_bytes(b"\x93NUMPY{")
    assert find_index(data) is None
    assert rows_in(data.index(), X[7:8]) == [7]


def test_identical_rows_are_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X[[0, 1, 2, 1, 0, 0, 9]])
    data = Dataset.open(tmp_path / "x.npy")
    made = data.index()
    assert (made.groups, made.rows_in_groups) == (2, 5)
    assert (facts_of(made)["groups"], facts_of(made)["rows_in_groups"]) == (2, 5)
    assert rows_in(data.select([1, 3, 4]).index(), X[[0, 1, 1, 2]]) == [4, 1, 3, 2]


def test_a_transform_is_what_the_rows_are_known_by(data: Dataset) -> None:
    def standardise(rows: Array) -> Array:
        return ((rows - 0.3) / 1.7).astype(np.float16)

    made = data.index(transform=standardise)
    assert made.transform is not None
    assert made.transform.endswith("standardise")
    assert rows_in(find_index(data), standardise(X[[5, 70]])) == [5, 70]
    assert rows_in(data.index(), X[[5, 70]]) == [5, 70]  # the plain one takes its place


def test_a_transform_is_a_function(data: Dataset) -> None:
    with pytest.raises(UsageError, match=r"transform=2: give a function of rows, or leave it out \[bad-transform\]"):
        data.index(transform=2)  # type: ignore[arg-type]


def test_a_transform_makes_rows_of_the_same_number(data: Dataset, tmp_path: Path) -> None:
    for wrong in (lambda rows: rows[1:], lambda rows: rows.sum(), lambda rows: rows.astype(object)):
        with pytest.raises(UsageError, match="bad-transform"):
            data.index(transform=wrong)
    with pytest.raises(ZeroDivisionError):
        data.index(transform=lambda rows: rows[: 1 // 0])
    assert [p.name for p in tmp_path.iterdir() if "index" in p.name] == []


def test_streams_have_anchors(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(1000))
    made = Dataset.open(tmp_path / "x.npy").index()
    assert facts_of(made)["tables"] == ["anchors"]
    assert (facts_of(made)["window"], made.rows) == (9, None)
    assert made.anchors is not None
    assert made.anchors.find(made.anchors.hashes).tolist() == list(range(len(made.anchors.hashes)))


def test_streams_are_read_in_blocks_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BLOCK", 8 * 50)
    numbers = RNG.integers(0, 1 << 60, 1000)
    np.save(tmp_path / "x.npy", numbers)
    made = Dataset.open(tmp_path / "x.npy").index()
    assert made.anchors is not None
    assert sorted(made.anchors.rows.tolist()) == find_anchors(numbers, Spacing(9))[0].tolist()


def test_short_rows_cannot_be_indexed(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros((10, 3), np.uint8))
    data = Dataset.open(tmp_path / "y.npy")
    with pytest.raises(DatasetError, match=r"a row is 3 bytes of uint8, 8 are needed.*rows-too-short"):
        data.index()
    assert [p.name for p in tmp_path.iterdir()] == ["y.npy"]


def test_what_is_no_file_cannot_be_indexed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unreadable-rows"):
        Dataset.of(len(X)).index()
    with pytest.raises(DatasetError, match="unreadable-rows"):
        Dataset.of(len(X)).index(tmp_path / "index")


def test_where_nothing_can_be_written(data: Dataset, tmp_path: Path) -> None:
    """And nothing that is no index is replaced."""
    with pytest.raises(DatasetError, match=r"name a folder that can be written with path= \[unwritable-index\]"):
        data.index(tmp_path / "x_0.npy" / "index")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for taken in (tmp_path / "mine", tmp_path / "x_1.npy"):
        with pytest.raises(DatasetError, match="not-an-index"):
            data.index(taken)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_progress_is_told(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BLOCK", 30 * 16)
    told: list[tuple[int, int]] = []
    data.index(progress=lambda done, total: told.append((done, total)))
    assert told == [(30, 200), (60, 200), (90, 200), (100, 200), (200, 200)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_when_it_takes_long(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for patience, wanted in ((0.0, None), (0.0, False), (60.0, None)):
        monkeypatch.setattr(progress, "PATIENCE", patience)
        monkeypatch.setattr("sys.stderr", terminal := Terminal())
        data.index(transform=lambda rows: rows, progress=wanted)
        shown.append("index of 100 rows" in terminal.getvalue())
    assert shown == [True, False, False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=40), min_size=1, max_size=4))
def test_every_row_is_found_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[int]]
) -> None:
    """Shards of different lengths, none at all among them, read and sorted in small parts; types may differ."""
    folder = tmp_path_factory.mktemp("data")
    for at, values in enumerate(shards):
        np.save(folder / f"x_{at}.npy", (np.array(values).reshape(-1, 1) * [[1, 2]]).astype(np.int64))
    np.save(folder / "x_9.npy", np.arange(50))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "BLOCK", 48)
        patch.setattr(row_table, "PART", 7)
        data = Dataset.open([folder / f"x_{at}.npy" for at in (*range(len(shards)), 9)])
        made = data.index()
    every = [value for values in shards for value in values]
    assert made.groups == sum(every.count(value) > 1 for value in set(every))
    if every:
        told = rows_in(made, np.array(every)[:, None] * [[1, 2]])
        assert told is not None
        assert sorted(told) == list(range(len(every)))
        assert [every[row] for row in told] == every
