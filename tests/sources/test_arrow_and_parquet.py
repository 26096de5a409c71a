"""Arrow and Parquet files as data, and where the rows of Hugging Face datasets lie.

Real datasets, in memory and on disk; each holds its own row numbers, which are the truth.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coverage_audit.errors import DatasetError
from coverage_audit.sources.arrow_rows import find_rows, rows_of, rows_of_files
from coverage_audit.sources.dataset import Dataset

ROWS = 60


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def in_memory() -> Any:
    numbers = list(range(ROWS))
    return datasets.Dataset.from_dict({"row": numbers, "text": [f"t{n}" for n in numbers], "none": [None] * ROWS})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    in_memory().save_to_disk(tmp_path / "d", num_shards=3)
    table = pa.table({"row": list(range(7))})
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    pq.write_table(table, tmp_path / "p-0.parquet", row_group_size=2)
    pq.write_table(table.slice(0, 4), tmp_path / "p-1.parquet")
    return tmp_path


def test_rows_are_counted_from_metadata(folder: Path) -> None:
    data = Dataset.open([*sorted((folder / "d").glob("*.arrow")), folder / "file.arrow", folder / "p-*.parquet"])

    assert [(s.name, s.rows) for s in data.shards] == [
        ("d/data-00000-of-00003.arrow", 20),
        ("d/data-00001-of-00003.arrow", 20),
        ("d/data-00002-of-00003.arrow", 20),
        ("file.arrow", 7),
        ("p-0.parquet", 7),
        ("p-1.parquet", 4),
    ]


def test_a_folder_is_its_data_without_what_was_computed_from_it(folder: Path) -> None:
    datasets.load_from_disk(folder / "d").filter(lambda example: example["row"] < 5)

    assert len(list((folder / "d").glob("cache-*.arrow"))) == 1
    assert Dataset.open(folder / "d").rows == ROWS


@pytest.mark.parametrize("name", ["file.arrow", "p-0.parquet", "d/data-00000-of-00003.arrow"])
@pytest.mark.parametrize("keep", [0, 40])
def test_torn_files_are_refused(folder: Path, name: str, keep: int) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(DatasetError, match=r"is not a whole (Arrow|Parquet) file") as caught:
        Dataset.open(path)

    assert caught.value.slug == "damaged-file"


MADE: dict[str, Callable[[Any], Any]] = {
    "itself": lambda ds: ds,
    "shuffled": lambda ds: ds.shuffle(seed=1),
    "a slice": lambda ds: ds.select(range(10, 30)),
    "a slice of a shuffled slice": lambda ds: ds.select(range(10, 50)).shuffle(seed=1).select(range(5, 20)),
    "picked": lambda ds: ds.select([50, 3, 3, 17]),
    "filtered": lambda ds: ds.filter(lambda example: example["row"] % 3 == 0),
    "train": lambda ds: ds.train_test_split(0.25, seed=1)["train"],
    "test in order": lambda ds: ds.train_test_split(0.25, shuffle=False)["test"],
    "a shard": lambda ds: ds.shard(4, 1).shard(2, 1, contiguous=False),
    "sorted": lambda ds: ds.select([5, 1, 9]).sort("row"),
    "fewer columns": lambda ds: ds.remove_columns("text").select(range(4, 44)),
    "other names": lambda ds: ds.rename_column("text", "words").select(range(40, 50)),
    "another column": lambda ds: ds.add_column("twice", list(range(len(ds)))).select(range(7, 20)),
    "formatted": lambda ds: ds.with_format("numpy").select(range(20, 25)),
    "put together": lambda ds: datasets.concatenate_datasets([ds.select(range(50, 60)), ds.shuffle(seed=3)]),
    "none": lambda ds: ds.select([]),
}


def truth(declared: Any, dataset: Any) -> list[int]:
    rows = list(map(int, declared["row"]))
    return [rows.index(row) if row in rows else -1 for row in map(int, dataset["row"])]


@pytest.mark.filterwarnings("ignore:Specifying null_placement:FutureWarning")
@pytest.mark.parametrize("place", ["in memory", "on disk"])
@pytest.mark.parametrize("made", MADE)
def test_rows_are_known_in_what_was_made_of_a_dataset(folder: Path, made: str, place: str) -> None:
    base = in_memory() if place == "in memory" else datasets.load_from_disk(folder / "d")
    again = base if place == "in memory" else datasets.load_from_disk(folder / "d")
    for declared in (base, base.shuffle(seed=7), base.train_test_split(0.5, seed=2)["train"]):
        found = Dataset.of(declared).origin
        other = rows_of(MADE[made](again))
        assert found is not None
        assert other is not None
        rows = find_rows(found, other)
        assert not isinstance(rows, str)
        assert rows.tolist() == truth(declared, MADE[made](again))


def test_files_and_the_dataset_that_maps_them_have_the_same_rows(folder: Path) -> None:
    data = Dataset.open(folder / "d")
    loaded = datasets.load_from_disk(folder / "d").shuffle(seed=4)
    other = rows_of(loaded)

    assert other is not None
    rows = find_rows(rows_of_files(data.paths, [s.rows for s in data.shards]), other)
    assert not isinstance(rows, str)
    assert rows.tolist() == loaded["row"][:]


def test_several_datasets_are_shards() -> None:
    base = in_memory()
    parts = base.select(range(40)).train_test_split(10, seed=1)
    data = Dataset.of({"train": parts["train"], "test": parts["test"], "rest": base.select(range(40, 60))})
    origin, other = data.origin, rows_of(base.shuffle(seed=2))

    assert [(s.name, s.rows) for s in data.shards] == [("train", 30), ("test", 10), ("rest", 20)]
    assert origin is not None
    assert other is not None
    rows = find_rows(origin, other)
    assert not isinstance(rows, str)
    declared = [*parts["train"]["row"], *parts["test"]["row"], *range(40, 60)]
    assert [declared[row] for row in rows.tolist()] == base.shuffle(seed=2)["row"][:]


@pytest.mark.parametrize("made", [lambda ds: ds.map(lambda e: e), lambda ds: ds.shuffle(seed=1).flatten_indices()])
def test_a_new_table_is_another_one(folder: Path, made: Callable[[Any], Any]) -> None:
    base = datasets.load_from_disk(folder / "d")
    declared, other = rows_of(base), rows_of(made(base))

    assert declared is not None
    assert other is not None
    assert find_rows(declared, other) == (
        "the loader's dataset is another table than the declared one (map() and flatten_indices() write a new one)"
    )


def test_a_row_twice_in_the_declared_data_has_no_place_of_its_own() -> None:
    base = in_memory()
    other = rows_of(base)
    assert other is not None
    for twice in (datasets.concatenate_datasets([base, base]), base.select([1, 1])):
        declared = rows_of(twice)
        assert declared is not None
        assert find_rows(declared, other) == "a row comes more than once in the declared dataset"
        itself = find_rows(declared, declared)
        assert not isinstance(itself, str)
        assert itself.tolist() == list(range(len(twice)))


def test_insides_that_have_moved_say_nothing() -> None:
    base = in_memory()
    moved = copy.copy(base)
    del moved._indices

    assert rows_of(moved) is None
    assert rows_of(object()) is None


def test_addresses_do_not_leave_the_process() -> None:
    data = Dataset.of(in_memory())

    assert data.origin is not None
    assert pickle.loads(pickle.dumps(data)).origin is None
