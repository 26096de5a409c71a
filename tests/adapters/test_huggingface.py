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
from datasets.distributed import split_dataset_by_node
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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("made", MADE)
def test_a_data_loader_over_a_map_style_dataset(tmp_path: Path, made: str, workers: int) -> None:
    loader: Any = DataLoader(MADE[made](), batch_size=8, shuffle=True, num_workers=workers)
    loader = wrap(loader, Dataset.of(BASE), tmp_path / "run.parquet")

    truth = [rows_in(batch) for _ in range(2) for batch in loader]
    loader.recorder.close()

    assert [list(batch.rows or ()) for batch in recorded_batches(tmp_path / "run.parquet")] == truth


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ids", [None, "__row__"])
def test_a_data_loader_over_an_iterable_dataset(tmp_path: Path, workers: int, ids: str | None) -> None:
    rows = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset(num_shards=4).shuffle(seed=1, buffer_size=8)
    loader: Any = DataLoader(rows, batch_size=6, num_workers=workers)
    loader = wrap(loader, Dataset.of(BASE), tmp_path / "run.parquet", ids=ids)

    batches = list(itertools.chain(loader, loader))
    loader.recorder.close()

    recorded = recorded_batches(tmp_path / "run.parquet")
    assert [list(batch.rows or ()) for batch in recorded] == [rows_in(batch) for batch in batches]
    assert {batch.worker for batch in recorded} == ({-1} if workers == 0 else {0, 1})
    assert ["__row__" in batch for batch in batches] == [ids is None] * len(batches)


def test_rows_of_another_split_are_outside_of_the_data(tmp_path: Path) -> None:
    parts = BASE.train_test_split(0.25, seed=2)
    loader = wrap(parts["test"], Dataset.of(parts["train"]), tmp_path / "run.parquet")

    for _ in loader:
        continue
    loader.recorder.close()

    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {(-1,)}


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


def test_divisible_shards_split_by_node_are_silent(tmp_path: Path) -> None:
    rows = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset(num_shards=4).shuffle(seed=1, buffer_size=ROWS)
    for rank in range(2):
        loader = wrap(
            split_dataset_by_node(rows, rank, 2), Dataset.of(BASE), tmp_path / "run.parquet",
            run_id="one", data_parallel=(rank, 2), if_exists="archive",
        )  # fmt: skip
        for _ in loader.iter(batch_size=5):
            continue
        loader.recorder.close()

    result = audit(tmp_path / "run.parquet")
    codes = [finding.code for finding in result.findings if not finding.code.startswith("CA3")]  # orders are small here
    assert (result.verdict.value, codes) == ("pass", [])


def test_a_resume_loses_the_shuffle_buffer(tmp_path: Path) -> None:
    """GIVEN an iterable dataset with a shuffle buffer WHEN it goes on from its state in a new process's place
    THEN the log says which rows came, those of the buffer never among them."""
    rows = BASE.add_column("__row__", range(ROWS)).to_iterable_dataset()
    data, log = Dataset.of(BASE), tmp_path / "run.parquet"
    first = wrap(rows.shuffle(seed=1, buffer_size=10), data, log, run_id="one")
    seen = [[rows_in(example)[0] for example in itertools.islice(first, 20)]]
    state = first.state_dict()
    first.recorder.checkpoint("half")
    first.recorder.close()
    second = wrap(rows.shuffle(seed=1, buffer_size=10), data, log, run_id="one", resume=True)
    second.recorder.restored("half")
    second.load_state_dict(state)
    seen += [[rows_in(example)[0] for example in second] for _ in range(2)]
    second.recorder.close()

    recorded = recorded_batches(log)
    assert [row for batch in recorded for row in batch.rows or ()] == [row for part in seen for row in part]
    assert [batch.pass_ for batch in recorded if batch.writer == recorded[0].writer] == [0] * 20
    lost = set(range(ROWS)) - set(seen[0]) - set(seen[1])
    assert 0 < len(lost) <= 10
    assert len(seen[2]) < ROWS, "without set_epoch() every later iteration goes on from the state, too"
