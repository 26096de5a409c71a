"""Hugging Face datasets, iterated by hand and through torch's DataLoader: every delivered row under its own id.

Each dataset holds its own row numbers, which are the truth.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from coverage_audit.adapters.choice import wrap
from coverage_audit.auditor import audit
from coverage_audit.errors import UsageError
from coverage_audit.sources.dataset import Dataset
from coverage_audit.testing.adapter_contract import AdapterContract
from coverage_audit.testing.recorded import recorded_batches

ROWS = 40
BASE: Any = datasets.Dataset.from_dict({"row": list(range(ROWS)), "text": [f"t{n}" for n in range(ROWS)]})


@pytest.fixture(autouse=True)
def silent() -> None:
    datasets.disable_progress_bars()


def rows_in(batch: Any) -> list[int]:
    return [int(row) for row in np.asarray(batch["row"]).reshape(-1)]


class _Examples(AdapterContract):
    rows = ROWS

    def rows_in(self, batch: Any) -> list[int]:
        return rows_in(batch)

    def dataset(self) -> Dataset:
        return Dataset.of(BASE, name="rows")


class TestExamplesOfAMapStyleDataset(_Examples):
    def make_loader(self) -> Any:
        return BASE


class TestBatchesOfAShuffledDataset(_Examples):
    def make_loader(self) -> Any:
        return BASE.shuffle(seed=1).with_format("numpy")

    def iterate(self, loader: Any) -> Iterator[Any]:
        batches: Iterator[Any] = loader.iter(batch_size=6)
        return batches


class TestExamplesOfAnIterableDataset(_Examples):
    def make_loader(self) -> Any:
        rows = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset(num_shards=4)
        return rows.shuffle(seed=3, buffer_size=10).map(lambda example: {"twice": 2 * example["row"]})


class TestExamplesWhoseRowNumbersAreTakenOut(_Examples):
    options = {"ids": "row_number"}  # noqa: RUF012 - as in the class above

    def make_loader(self) -> Any:
        return BASE.add_column("row_number", range(ROWS)).to_iterable_dataset(num_shards=4).shuffle(seed=3)

    def test_batches_are_those_of_the_loader_itself(self, tmp_path: Path) -> None:
        bare = [{k: v for k, v in example.items() if k != "row_number"} for example in self.make_loader()]
        assert list(self.record(tmp_path, self.make_loader())) == bare


class TestBatchesOfAnIterableDataset(_Examples):
    def make_loader(self) -> Any:
        return BASE.add_column("__row__", range(ROWS)).to_iterable_dataset().with_format("torch")

    def iterate(self, loader: Any) -> Iterator[Any]:
        batches: Iterator[Any] = loader.iter(batch_size=7, drop_last_batch=True)
        return batches


MADE: dict[str, Callable[[], Any]] = {
    "shuffled": lambda: BASE.shuffle(seed=1),
    "a slice": lambda: BASE.select(range(10, 31)),
    "a split": lambda: BASE.train_test_split(0.25, seed=2)["test"].with_format("torch"),
    "a subset of a choice": lambda: Subset(BASE.select([3, 9, 27, 1]), [2, 0]),
    "parts": lambda: torch.utils.data.ConcatDataset([BASE.select(range(5)), BASE.shuffle(seed=1)]),
}


@pytest.mark.parametrize("made", MADE)
def test_a_data_loader_over_a_map_style_dataset(tmp_path: Path, made: str) -> None:
    """With workers: see test_sample_loaders.py."""
    loader: Any = DataLoader(MADE[made](), batch_size=8, shuffle=True)
    loader = wrap(loader, Dataset.of(BASE), tmp_path / "run.parquet")

    truth = [rows_in(batch) for _ in range(2) for batch in loader]
    loader.recorder.close()

    assert [list(batch.rows or ()) for batch in recorded_batches(tmp_path / "run.parquet")] == truth


@pytest.mark.parametrize("ids", [None, "__row__"])
def test_a_data_loader_over_an_iterable_dataset(tmp_path: Path, ids: str | None) -> None:
    rows = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset(num_shards=4).shuffle(seed=1, buffer_size=8)
    loader: Any = DataLoader(rows, batch_size=6)
    loader = wrap(loader, Dataset.of(BASE), tmp_path / "run.parquet", ids=ids)

    batches = list(itertools.chain(loader, loader))
    loader.recorder.close()

    recorded = recorded_batches(tmp_path / "run.parquet")
    assert [list(batch.rows or ()) for batch in recorded] == [rows_in(batch) for batch in batches]
    assert ["__row__" in batch for batch in batches] == [ids is None] * len(batches)


def test_a_data_loader_over_another_table_says_why_it_is_unknown(tmp_path: Path) -> None:
    loader: Any = DataLoader(BASE.shuffle(seed=1).flatten_indices(), batch_size=8)
    loader = wrap(loader, Dataset.of(BASE), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match=r"is another table than the declared one .*: declare ca.Dataset.of"):
        assert len(list(loader)) == 5
    loader.recorder.close()

    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {None}


def test_rows_of_another_split_are_outside_of_the_data(tmp_path: Path) -> None:
    parts = BASE.train_test_split(0.25, seed=2)
    loader = wrap(parts["test"], Dataset.of(parts["train"]), tmp_path / "run.parquet")

    for _ in loader:
        continue
    loader.recorder.close()

    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {(-1,)}


def odd_ones(batch: dict[str, list[int]]) -> dict[str, list[int]]:
    return {"row": [row for row in batch["row"] if row % 2]}


def test_batches_that_a_transform_makes_shorter_are_unknown(tmp_path: Path) -> None:
    """GIVEN a transform that leaves rows out THEN which it left out is not guessed at."""
    loader = wrap(BASE.with_transform(odd_ones), Dataset.of(BASE), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match=r"transform made another number of rows .* \(8 were asked for, 4 came\)"):
        assert [rows_in(batch) for batch in loader.iter(8)][:1] == [[1, 3, 5, 7]]
    loader.recorder.close()

    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {None}


@pytest.mark.parametrize(
    ("made", "declared", "said"),
    [
        (lambda: BASE.map(lambda e: e), lambda: Dataset.of(BASE), "map() and flatten_indices() write a new one"),
        (lambda: BASE.select([1, 2, 5]).shuffle(seed=1), lambda: Dataset.of(3), "is a choice of rows"),
        (lambda: BASE, lambda: Dataset.of(41), "does not say which rows"),
        (BASE.to_iterable_dataset, lambda: Dataset.of(BASE), "have no column '__row__'"),
    ],
)
def test_what_cannot_be_known_is_unknown_and_said(
    tmp_path: Path, made: Callable[[], Any], declared: Callable[[], Dataset], said: str
) -> None:
    loader = wrap(made(), declared(), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match=re.escape(said)):
        assert len(list(loader)) > 0
    loader.recorder.close()

    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {None}


@pytest.mark.parametrize("made", [lambda: BASE, lambda: BASE.shuffle(seed=1)])
def test_a_number_of_rows_means_those_of_the_table(tmp_path: Path, made: Callable[[], Any]) -> None:
    loader = wrap(made(), Dataset.of(ROWS), tmp_path / "run.parquet")

    truth = [rows_in(example) for example in loader]
    loader.recorder.close()

    assert [list(batch.rows or ()) for batch in recorded_batches(tmp_path / "run.parquet")] == truth


def test_the_dataset_can_do_what_it_could(tmp_path: Path) -> None:
    iterable: Any = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset(num_shards=2)
    loader = wrap(iterable, Dataset.of(BASE), tmp_path / "run.parquet")
    loader.set_epoch(3)
    next(iter(loader))

    assert [isinstance(loader, k) for k in (datasets.IterableDataset, torch.utils.data.IterableDataset)] == [True] * 2
    assert (iterable.epoch, loader.num_shards, loader.column_names) == (3, 2, ["row", "text", "__row__"])
    assert loader.state_dict() == iterable.state_dict()
    assert type(loader.with_format("numpy")) is datasets.IterableDataset
    assert [example["row"] for example in loader.take(1)] == [0]
    loader.recorder.close()

    mapped = wrap(BASE, Dataset.of(BASE), tmp_path / "other.parquet")
    assert (len(mapped), mapped[3]["row"], mapped[:2]["row"], mapped.num_rows) == (ROWS, 3, [0, 1], ROWS)
    assert mapped.__getitems__([1, 2])[1]["row"] == 2
    mapped.recorder.close()


def test_several_datasets_in_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'train', 'test'\\): wrap each") as caught:
        wrap(BASE.train_test_split(0.5), None, tmp_path / "run.parquet")
    assert caught.value.slug == "unsupported-loader"


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_examples_without_row_numbers_say_what_would_help(tmp_path: Path, workers: int | None) -> None:
    """GIVEN an iterable dataset without the column, alone or in a DataLoader THEN each example is one unknown row, and
    the report says which column to add."""
    data: Any = BASE.to_iterable_dataset(num_shards=2)
    if workers is not None:
        data = torch.utils.data.DataLoader(data, batch_size=8, num_workers=workers)
    loader = wrap(data, Dataset.of(ROWS), tmp_path / "run.parquet")
    with pytest.warns(UserWarning, match=re.escape("have no column '__row__'")):
        batches = len(list(loader))
    loader.recorder.close()

    found = next(f for f in audit(tmp_path / "run.parquet").findings if f.code == "CA904")
    assert (found.message, found.cause, found.fix) == (
        f"the rows of {batches} of {batches} batches are unknown ({ROWS} rows)",
        "the examples have no column '__row__': add_column('__row__', range(n)) before to_iterable_dataset()",
        "add the column of row numbers, add_column('__row__', range(n)), before to_iterable_dataset()",
    )
