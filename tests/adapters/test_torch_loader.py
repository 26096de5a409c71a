"""A wrapped DataLoader is the same object, with a recorder and a callback to be had from it, and nothing else."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

import coverage_audit as ca
from coverage_audit.adapters import torch_data, torch_iterators
from coverage_audit.adapters.torch_state import tag_of
from coverage_audit.errors import RecordingWarning, UsageError
from coverage_audit.testing.adapter_contract import AdapterContract
from coverage_audit.testing.recorded import recorded_batches

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")


class Rows(Dataset[Any]):
    def __init__(self, n: int = 40) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return i, torch.zeros(2)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(i, torch.zeros(2)) for i in range(40)])


class FirstPart:
    """For ``ids=``: the rows that a batch says it holds."""

    def __call__(self, batch: Any) -> Any:
        return batch[0].numpy()


class OfTorch(AdapterContract):
    def rows_in(self, batch: Any) -> list[int]:
        rows: list[int] = batch[0].tolist()
        return rows


class TestMapStyle(OfTorch):
    def make_loader(self) -> Any:
        return DataLoader(Rows(), batch_size=6, shuffle=True, generator=torch.Generator().manual_seed(1))


class TestIterable(OfTorch):
    options = {"ids": FirstPart()}  # noqa: RUF012 - as the contract declares it

    def make_loader(self) -> Any:
        return DataLoader(Stream(), batch_size=6)


class TestStateful(OfTorch):
    def make_loader(self) -> Any:
        return StatefulDataLoader(Rows(), batch_size=6, shuffle=True, generator=torch.Generator().manual_seed(1))


def record(folder: Path, loader: Any, n: int = 40, **options: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(n, name="rows"), folder / "run.parquet", **options)


def test_the_loader_is_the_same_object(tmp_path: Path) -> None:
    bare: Any = DataLoader(Rows(), batch_size=6)
    before = dict(vars(bare))
    loader: Any = record(tmp_path, bare)
    assert loader is bare
    assert vars(loader) == before
    assert type(cast(object, loader)) is DataLoader
    loader.recorder.close()


def test_only_recorded_loaders_have_a_recorder(tmp_path: Path) -> None:
    loader = record(tmp_path, DataLoader(Rows(), batch_size=6))
    assert isinstance(loader.recorder, ca.Recorder)
    others = [DataLoader(Rows()), copy.copy(loader), copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))]
    assert [hasattr(other, name) for other in others for name in ("recorder", "callback")] == [False] * 8
    assert not hasattr(DataLoader, "recorder")
    loader.recorder.close()


def test_an_attribute_of_the_users_own_stays(tmp_path: Path) -> None:
    class Own(DataLoader[Any]):
        recorder = "of the class"

    class OwnOfInstance(DataLoader[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.recorder = "of the instance"

    loader = record(tmp_path, OwnOfInstance(Rows(), batch_size=6))
    own: Any = Own(Rows())
    assert (loader.recorder, own.recorder) == ("of the instance", "of the class")
    recorder = torch_data.recorded(loader)
    assert recorder is not None
    recorder.recorder.close()


def test_a_loader_that_a_trainer_made_has_no_callback(tmp_path: Path) -> None:
    loader = record(tmp_path, DataLoader(Rows(), batch_size=6))
    made: Any = DataLoader(Rows(), batch_size=6)
    torch_data.take_over(made, loader.recorder)
    with pytest.raises(UsageError, match=r"callback\(\) of a DataLoader that a trainer made") as refused:
        made.callback()
    assert refused.value.slug == "not-a-generator"
    loader.recorder.close()


def test_nothing_keeps_a_recorded_loader_alive(tmp_path: Path) -> None:
    loader = record(tmp_path, DataLoader(Rows(), batch_size=6))
    recorder, gone = loader.recorder, weakref.ref(loader)
    del loader
    gc.collect()
    assert gone() is None
    recorder.close()


def test_a_sampler_of_another_rank_is_warned_of(tmp_path: Path) -> None:
    sampler: Any = DistributedSampler(Rows(), num_replicas=4, rank=2)
    with pytest.warns(RecordingWarning, match=r"the sampler reads as 2 of 4, what is recorded is 0 of 1"):
        loader = record(tmp_path, DataLoader(Rows(), sampler=sampler))
    loader.recorder.close()


def test_a_hook_that_has_moved_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN another version of torch, where a private method takes something else THEN it is named."""

    def _try_put_index(self: Any, task: int) -> None:
        del task

    kind: Any = torch.utils.data.dataloader._MultiProcessingDataLoaderIter
    assert torch_iterators.moved_hooks() == []
    monkeypatch.setattr(kind, "_try_put_index", _try_put_index)
    monkeypatch.delattr(kind, "_process_data")
    assert torch_iterators.moved_hooks() == [
        "_MultiProcessingDataLoaderIter._try_put_index",
        "_MultiProcessingDataLoaderIter._process_data",
    ]


def test_without_hooks_batches_are_recorded_by_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN hooks that do not fit WHEN wrapped THEN one warning, a proxy, and rows by ids or by content."""
    monkeypatch.setattr(torch_data, "_moved", ["_BaseDataLoaderIter._next_index"])
    with pytest.warns(RecordingWarning, match="_BaseDataLoaderIter._next_index"):
        loader = record(tmp_path, DataLoader(Rows(), batch_size=6), ids=0)
    assert isinstance(cast(object, loader), DataLoader)
    for _ in loader:
        continue
    loader.recorder.close()
    rows = [batch.rows for batch in recorded_batches(tmp_path / "run.parquet")]
    assert rows == [tuple(range(first, min(first + 6, 40))) for first in range(0, 40, 6)]


def test_ids_are_taken_out_of_the_batch(tmp_path: Path) -> None:
    loader = record(tmp_path, DataLoader(Rows(), batch_size=6, shuffle=True), ids=0)
    assert [len(batch) for batch in loader] == [1] * 7
    loader.recorder.close()
    recorded = recorded_batches(tmp_path / "run.parquet")
    assert sorted(row for batch in recorded for row in batch.rows or ()) == list(range(40))


def test_a_sampler_with_structured_indices_leaves_rows_unknown(tmp_path: Path) -> None:
    class Pairs(Dataset[Any]):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: Any) -> int:
            row, scale = index
            return int(row) * int(scale)

    pairs: Any = [(3, 1), (5, 2)]
    loader = record(tmp_path, DataLoader(Pairs(), batch_size=None, sampler=pairs))
    with pytest.warns(RecordingWarning, match="the rows of a batch cannot be told"):
        delivered = [int(batch) for batch in loader]
    assert delivered == [3, 10]
    loader.recorder.close()
    assert [batch.rows for batch in recorded_batches(tmp_path / "run.parquet")] == [None, None]


def test_a_state_is_known_again_by_its_values() -> None:
    state = {"a": (1, 2.5), "b": {"c": None, "d": True}, "e": torch.arange(3), "f": b"x", "g": "y", "h": np.int64(4)}
    same = {"h": 4, "g": "y", "f": b"x", "e": np.arange(3), "b": {"d": True, "c": None}, "a": [1, 2.5]}
    assert tag_of(state) == tag_of(pickle.loads(pickle.dumps(state))) == tag_of(same)
    others = [{**state, "h": 5}, {**state, "g": b"y"}, {**state, "a": (1, 2.5, 0)}, {**state, "e": torch.arange(1, 4)}]
    assert len({tag_of(state), *map(tag_of, others)}) == 5
    assert tag_of({"generator": torch.Generator()}) is None


class WithoutSome(DataLoader[Any]):
    """Gives every second batch of those that are made."""

    def __iter__(self) -> Any:
        yield from list(super().__iter__())[::2]


def test_what_an_iteration_of_ones_own_makes_of_the_batches_is_not_guessed_at(tmp_path: Path) -> None:
    loader = record(tmp_path, WithoutSome(Rows(), batch_size=10))
    with pytest.warns(RecordingWarning, match="WithoutSome has an __iter__ of its own"):
        assert [batch[0].tolist()[0] for batch in loader] == [0, 20]
    loader.recorder.close()
    assert {batch.rows for batch in recorded_batches(tmp_path / "run.parquet")} == {None}
