"""WebDataset pipelines and loaders: every delivered row under its own id, whatever the stages between do.

Each sample holds its own row number, which is the truth.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset as wds
from tar_shards import ROWS, SIZES, write_shards

from coverage_audit.adapters.choice import wrap
from coverage_audit.adapters.webdataset_stages import Followed
from coverage_audit.errors import UsageError
from coverage_audit.sources.dataset import Dataset
from coverage_audit.testing.adapter_contract import AdapterContract
from coverage_audit.testing.recorded import recorded_batches

# webdataset leaves the files it reads to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"))


def base(shards: list[str], **options: Any) -> Any:
    return wds.WebDataset(shards, **{"shardshuffle": False, "seed": 1, **options})


def rows_in(batch: Any) -> list[int]:
    """The row numbers in a batch or a sample: read off its array, wherever that is."""
    array = batch["x.npy"] if isinstance(batch, dict) else batch[0]
    return [int(row) for row in np.asarray(array).reshape(-1, 2)[:, 0]]


def recorded(folder: Path) -> list[list[int] | None]:
    return [None if b.rows is None else list(b.rows) for b in recorded_batches(folder / "run.parquet")]


class _Pipeline(AdapterContract):
    rows = ROWS

    @pytest.fixture(autouse=True)
    def _shards(self, shards: list[str]) -> None:
        self.shards = shards

    def dataset(self) -> Dataset:
        return Dataset.open(self.shards)

    def rows_in(self, batch: Any) -> list[int]:
        return rows_in(batch)


class TestSamples(_Pipeline):
    def make_loader(self) -> Any:
        return base(self.shards).decode()


class TestBatchesOfTuples(_Pipeline):
    def make_loader(self) -> Any:
        dataset = base(self.shards, shardshuffle=3).shuffle(20, seed=2).decode()
        return dataset.to_tuple("x.npy", "cls").map_tuple(lambda x: x + 0, None).batched(6)


class TestLoaderOfBatches(_Pipeline):
    def make_loader(self) -> Any:
        dataset = base(self.shards).decode().to_tuple("x.npy", "cls").batched(4, partial=False)
        return wds.WebLoader(dataset, batch_size=None)


class TestLoaderWhoseBatchesAreMixed(_Pipeline):
    def make_loader(self) -> Any:
        dataset = base(self.shards).decode().to_tuple("x.npy", "cls").batched(4)
        loader = wds.WebLoader(dataset, batch_size=None)
        return loader.unbatched().shuffle(30, seed=5).batched(7)


def halve(samples: Iterator[Any]) -> Iterator[Any]:
    """A stage of one's own: every other sample, as it is."""
    for number, sample in enumerate(samples):
        if number % 2 == 0:
            yield sample


def rename(samples: Iterator[Any]) -> Iterator[Any]:
    """A stage of one's own that makes new samples and keeps what says what they are."""
    for sample in samples:
        yield {"x.npy": sample["x.npy"], "__key__": sample["__key__"], "__url__": sample["__url__"]}


def pairs(samples: Iterator[Any]) -> Iterator[Any]:
    """A stage of one's own that keeps nothing of what says what samples are."""
    for sample in samples:
        yield sample["x.npy"], sample["cls"]


def drop_odd(sample: Any) -> Any:
    return sample if sample["cls"] % 2 == 0 else None


PIPELINES: dict[str, Callable[[list[str]], Any]] = {
    "detshuffle": lambda s: wds.DataPipeline(
        wds.SimpleShardList(s), wds.tarfile_to_samples(), wds.detshuffle(10, seed=1), wds.decode(), wds.batched(5)
    ),
    "select": lambda s: base(s).decode().select(lambda x: x["cls"] % 3 == 0).batched(4),
    "dropped by a map": lambda s: base(s).decode().map(drop_odd).to_tuple("x.npy", "cls").batched(4),
    "new dicts": lambda s: base(s).decode().map(lambda x: {"x.npy": x["x.npy"]}).shuffle(9, seed=3).batched(4),
    "renamed": lambda s: base(s).decode().rename(**{"x.npy": "x.npy", "keep": "cls"}).batched(4),
    "map_dict": lambda s: base(s).decode().map_dict(cls=lambda c: c + 1).to_tuple("x.npy cls").batched(4),
    "extract_keys": lambda s: base(s).decode().extract_keys("*.npy", "*.cls"),
    "sliced": lambda s: base(s).decode().to_tuple("x.npy", "cls").slice(3, 20, 2),
    "lists": lambda s: base(s).decode().listed(5).unlisted().to_tuple("x.npy", "cls").batched(3),
    "apart again": lambda s: base(s).decode().to_tuple("x.npy", "cls").batched(8).unbatched().batched(3),
    "a number per sample": lambda s: base(s).decode().to_tuple("x.npy", "cls").shuffle(30, seed=1).batched(5),
    "an epoch of steps": lambda s: base(s).decode().to_tuple("x.npy", "cls").batched(4).with_epoch(15),
    "repeated": lambda s: base(s).decode().to_tuple("x.npy", "cls").batched(4).repeat(2),
    "a broken sample": lambda s: base(s).decode().map(fail_once, handler=wds.ignore_and_continue).batched(4),
    "its own collation": lambda s: base(s).decode().batched(
        4, collation_fn=lambda batch: {"x.npy": np.stack([x["x.npy"] for x in batch])}
    ),
    "a filter of one's own": lambda s: base(s).decode().compose(halve).to_tuple("x.npy", "cls").batched(4),
    "a stage that keeps keys": lambda s: base(s).decode().compose(rename).shuffle(10, seed=1).batched(4),
    "a mix": lambda s: wds.RoundRobin(
        [base(s[:2]).decode().to_tuple("x.npy", "cls"), base(s[2:]).decode().to_tuple("x.npy", "cls")], longest=True
    ),
    "a pipeline in a pipeline": lambda s: wds.DataPipeline(
        wds.RandomMix([base(s[:3]).decode(), base(s[3:]).decode()], longest=True), wds.to_tuple("x.npy", "cls"),
        wds.batched(4),
    ),
}  # fmt: skip


def fail_once(sample: Any) -> Any:
    if sample["cls"] == 11:
        raise ValueError("broken")
    return sample


@pytest.mark.parametrize("made", PIPELINES)
def test_stages_are_followed(tmp_path: Path, shards: list[str], made: str) -> None:
    loader = wrap(PIPELINES[made](shards), Dataset.open(shards), tmp_path / "run.parquet")

    truth = [rows_in(batch) for _ in range(2) for batch in loader]
    loader.recorder.close()

    assert len(truth) > 5
    assert recorded(tmp_path) == truth


def test_a_torch_loader(tmp_path: Path, shards: list[str]) -> None:
    """With workers: see test_sample_loaders.py."""
    dataset = base(shards, shardshuffle=5).shuffle(10).decode().to_tuple("x.npy", "cls")
    loader: Any = torch.utils.data.DataLoader(dataset, batch_size=6)
    loader = wrap(loader, Dataset.open(shards), tmp_path / "run.parquet")

    truth = [rows_in(batch) for _ in range(2) for batch in loader]
    loader.recorder.close()

    assert recorded(tmp_path) == truth
    assert sorted(itertools.chain(*truth)) == sorted([*range(ROWS)] * 2)


def test_what_is_lost_on_the_way_is_unknown_and_said(tmp_path: Path, shards: list[str]) -> None:
    dataset = base(shards).decode().compose(pairs).batched(10)
    loader = wrap(dataset, Dataset.open(shards), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match=r"keep __key__ and __url__ in them, .*in the stage pairs"):
        batches = list(loader)
    loader.recorder.close()

    assert recorded(tmp_path) == [None] * len(batches)


@pytest.mark.parametrize(
    "made",
    [
        lambda data: data.batched(10).map(lambda batch: tuple(part[1:] for part in batch)),
        lambda data: data.batched(10).map(lambda batch: tuple(part[1:] for part in batch)).unbatched(),
        lambda data: data.batched(10, collation_fn=lambda samples: tuple(zip(*samples[1:], strict=True))),
    ],
)
def test_rows_left_out_of_batches_are_not_guessed_at(
    tmp_path: Path, shards: list[str], made: Callable[[Any], Any]
) -> None:
    loader = wrap(made(base(shards).decode().to_tuple("cls", "x.npy")), Dataset.open(shards), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match="what the samples of the pipeline are is lost on their way"):
        batches = list(loader)
    loader.recorder.close()

    assert len(batches) > 3
    assert recorded(tmp_path) == [None] * len(batches)


@pytest.mark.parametrize(
    ("ids", "handed_on"),
    [
        (lambda b: (list(zip(b[1], b[2], strict=True)), b[:1]), 1),
        (lambda b: [[url, key] for url, key in zip(b[1], b[2], strict=True)], 3),
    ],
)
def test_urls_and_keys_can_be_given_as_ids(
    tmp_path: Path, shards: list[str], ids: Callable[[Any], Any], handed_on: int
) -> None:
    dataset = base(shards).decode().compose(rename).to_tuple("x.npy", "__url__", "__key__").batched(6)
    loader = wrap(dataset, Dataset.open(shards), tmp_path / "run.parquet", ids=ids)

    batches = list(loader)
    loader.recorder.close()

    assert recorded(tmp_path) == [rows_in(batch) for batch in batches]
    assert {len(batch) for batch in batches} == {handed_on}


def test_keys_alone_are_enough_where_they_are_unique(tmp_path: Path, shards: list[str]) -> None:
    dataset = base(shards[:1]).decode().to_tuple("x.npy", "__key__").batched(6)
    loader = wrap(dataset, Dataset.open(shards[:1]), tmp_path / "run.parquet", ids=1)

    batches = list(loader)
    loader.recorder.close()

    assert recorded(tmp_path) == [rows_in(batch) for batch in batches]


def test_keys_that_several_shards_have_are_not_guessed_at(tmp_path: Path, shards: list[str]) -> None:
    dataset = base(shards[:2]).decode().to_tuple("x.npy", "__key__").batched(6)
    loader = wrap(dataset, Dataset.open(shards), tmp_path / "run.parquet", ids=1)

    with pytest.warns(UserWarning, match=r"several samples of the data have one name \(such as 'part/000'\)"):
        batches = list(loader)
    loader.recorder.close()

    assert recorded(tmp_path) == [None] * len(batches)


def test_samples_of_other_shards_are_outside_of_the_data(tmp_path: Path, shards: list[str]) -> None:
    loader = wrap(base(shards[3:]).decode().batched(11), Dataset.open(shards[:4]), tmp_path / "run.parquet")

    with pytest.warns(UserWarning, match=r"the declared data has no sample \('.*s-4.tar', 'part/000'\)"):
        batches = list(loader)
    loader.recorder.close()

    first = sum(SIZES[:3])
    assert [len(rows_in(batch)) for batch in batches] == [11]
    assert recorded(tmp_path) == [[*range(first, first + 8), -1, -1, -1]]


def test_samples_are_not_touched(shards: list[str]) -> None:
    """GIVEN any pipeline WHEN followed THEN the samples are those it gives by itself."""
    for made in PIPELINES.values():
        bare = [rows_in(sample) for sample in made(shards)]
        followed = Followed(made(shards))
        got = [(rows_in(sample), type(sample)) for sample in followed.samples()]
        if made is not PIPELINES["a pipeline in a pipeline"]:  # by torch's and Python's own chance
            assert [rows for rows, _ in got] == bare
        assert {kind for _, kind in got} == {type(sample) for sample in made(shards)}


def test_the_pipeline_itself_stays_as_it_was(tmp_path: Path, shards: list[str]) -> None:
    dataset = base(shards).decode().batched(4)
    stages = list(dataset.pipeline)
    loader = wrap(dataset, Dataset.open(shards), tmp_path / "run.parquet")
    for _ in loader:
        continue

    assert isinstance(loader, wds.WebDataset)
    assert dataset.pipeline == stages
    assert loader.with_epoch(3) is loader
    assert len(list(loader)) == 3
    assert len(pickle.dumps(base(shards))) > 0
    loader.recorder.close()


def test_a_loader_that_is_recorded_already_is_refused(tmp_path: Path, shards: list[str]) -> None:
    torch_loader: Any = torch.utils.data.DataLoader(base(shards), batch_size=None)
    recorder = wrap(torch_loader, Dataset.open(shards), tmp_path / "run.parquet").recorder

    with pytest.raises(UsageError, match="recorded already"):
        wrap(wds.DataPipeline(torch_loader, wds.batched(3)), Dataset.open(shards), tmp_path / "other.parquet")
    recorder.close()
