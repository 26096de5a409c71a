"""What the process that makes a batch says of it, and how it travels."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import IterableDataset

import coverage_audit as ca
from coverage_audit.adapters.torch_inband import Looker, Tagged, Tagging, Tallied, Tally
from coverage_audit.adapters.torch_order import FileOrder


class Letters(IterableDataset[str]):
    """Fails before some of its samples, and goes on."""

    def __init__(self, text: str, fails_before: frozenset[int] = frozenset()) -> None:
        self.text, self.fails_before = text, fails_before

    def __iter__(self) -> Iterator[str]:
        return LettersIterator(self)

    def __len__(self) -> int:
        return len(self.text)


class LettersIterator:
    def __init__(self, of: Letters) -> None:
        self.of, self.at, self.failed = of, 0, False

    def __iter__(self) -> LettersIterator:
        return self

    def __next__(self) -> str:
        if self.at == len(self.of.text):
            raise StopIteration
        if self.at in self.of.fails_before and not self.failed:
            self.failed = True
            raise RuntimeError(self.at)
        self.at, self.failed = self.at + 1, False
        return self.of.text[self.at - 1]


class Ordinals:
    """The tag of a sample is how many came before it."""

    def tagged(self, dataset: Any, samples: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        del dataset
        return Numbered(samples)


class Numbered:
    def __init__(self, samples: Iterator[Any]) -> None:
        self.samples, self.n = samples, 0

    def __iter__(self) -> Numbered:
        return self

    def __next__(self) -> tuple[Any, Any]:
        sample = next(self.samples)
        self.n += 1
        return sample, self.n - 1


@given(st.integers(1, 5), st.frozensets(st.integers(0, 19), max_size=4))
def test_tags_are_those_of_the_samples_in_the_batch(size: int, fails_before: frozenset[int]) -> None:
    """GIVEN a dataset that fails in the middle of batches WHEN fetched as torch does THEN each batch has its tags."""
    text = "abcdefghijklmnopqrst"
    tally = Tally()
    dataset = Tallied(Letters(text, fails_before), Ordinals(), tally)
    collate = Tagging(list, None, tally, batched=True)
    samples = iter(dataset)
    while True:
        taken: list[str] = []
        over = False
        try:
            for _ in range(size):
                taken.append(next(samples))
        except StopIteration:
            over = True
        except RuntimeError:
            continue  # what was taken of this batch is lost
        if taken:
            tagged = collate(taken)
            assert tagged.tags == [text.index(letter) for letter in tagged.batch]
        if over:
            break


def test_a_tallied_dataset_is_the_dataset_for_everybody_else() -> None:
    inner = Letters("abc")
    dataset: Any = Tallied(inner, Ordinals(), Tally())
    dataset.text = "xyz"  # as a worker_init_fn does that shards it
    assert isinstance(dataset, Letters)
    assert (inner.text, dataset.text, len(dataset), list(dataset), repr(dataset)) == (
        "xyz",
        "xyz",
        3,
        ["x", "y", "z"],
        repr(inner),
    )


def test_the_tally_is_one_after_pickling() -> None:
    """GIVEN a spawned worker, which gets dataset and collate function in one pickle THEN they still share the tally."""
    tally = Tally()
    pair = (Tallied(Letters("abc"), Ordinals(), tally), Tagging(list, None, tally, batched=True))
    dataset, collate = pickle.loads(pickle.dumps(pair))
    assert collate(list(dataset)).tags == [0, 1, 2]


def test_a_tagged_batch_is_pinned_as_the_batch_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: Any = pytest.importorskip("torch.utils.data._utils.pin_memory")
    monkeypatch.setattr(pinned, "pin_memory", lambda batch: ["pinned", *batch])
    tagged = Tagged(["a"], None, [0]).pin_memory()
    assert (tagged.batch, tagged.tags) == (["pinned", "a"], [0])


def test_rows_are_told_by_samples_that_remember_them(tmp_path: Path) -> None:
    """GIVEN samples read from a file WHEN collated into something that remembers nothing THEN their rows are told."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 3)))
    data = ca.Dataset.open(tmp_path / "x.npy")
    recorder = ca.Recorder(tmp_path / "run.parquet", data)
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    way: Any = recorder.stream.way
    collate = Tagging(lambda samples: {"n": len(samples)}, Looker(way, *way.made_of), None, batched=True)
    tagged = collate([(rows[i], i) for i in (7, 3, 3)])
    recorder.close()
    assert tagged.batch == {"n": 3}
    assert tagged.told is not None
    assert np.asarray(tagged.told.rows).tolist() == [7, 3, 3]


@pytest.mark.parametrize(
    ("rows", "scale", "is_other"),
    [
        ([0, 5, 9], 1.0, False),
        ([10, 15, 19], 1.0, True),
        ([10, 15, 19], 3.0, False),
        ([0, 15, 9], 1.0, True),
    ],
)
def test_samples_are_held_against_their_files(tmp_path: Path, rows: list[int], scale: float, is_other: bool) -> None:
    """GIVEN rows 0, 5, 9 asked for WHEN these, others, changed ones or one other came THEN others are wrong."""
    values = np.random.default_rng(1).normal(size=(20, 3))
    np.save(tmp_path / "x_0.npy", values[:10])
    np.save(tmp_path / "x_1.npy", values[10:])
    order = FileOrder(ca.Dataset.open(tmp_path / "x_*.npy"))
    assert order.is_other((values[rows] * scale,), np.array([0, 5, 9])) is is_other


def test_the_first_batch_of_each_file_is_held_against_it(tmp_path: Path) -> None:
    """GIVEN three files, one of them empty THEN a batch with rows of a file that none was seen of is new, once."""
    for name, rows in (("x_0", 10), ("x_1", 0), ("x_2", 10)):
        np.save(tmp_path / f"{name}.npy", np.zeros((rows, 3)))
    order = FileOrder(ca.Dataset.open(tmp_path / "x_*.npy"))
    batches = [[1, 2], [8, 9], [9, 10], [3, 19], [19, 3]]
    assert [order.is_new(np.array(ids)) for ids in batches] == [True, False, True, False, False]
