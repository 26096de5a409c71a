"""Finding the rows of a batch does not reach the training loop, whatever a batch holds and whatever fails in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning
from coverage_audit.identity import ladder


class Opaque:
    """A batch of a kind of its own, which refuses all questions."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class Augmenting(Mapping[str, Any]):
    """Makes its values when it is asked for them, with random numbers."""

    def __getitem__(self, key: str) -> Any:
        return np.full(2, random.random())

    def __iter__(self) -> Iterator[str]:
        return iter("x")

    def __len__(self) -> int:
        return 1


class Unloaded(Augmenting):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("load it first")


@pytest.mark.parametrize("kind", [Augmenting, Unloaded])
@pytest.mark.parametrize(
    "batches_of",
    [
        pytest.param(iter, id="batches"),
        pytest.param(lambda samples: _loader(samples, 2), id="samples of a DataLoader"),
        pytest.param(lambda samples: _loader(samples, None), id="batches of a DataLoader"),
    ],
)
def test_mappings_that_make_their_values_are_not_asked(
    tmp_path: Path, kind: type[Augmenting], batches_of: Callable[[list[Augmenting]], Any]
) -> None:
    """THEN the random numbers of the run are those of a run without recording, and what would raise does not."""
    np.save(tmp_path / "x.npy", np.zeros((4, 2)))
    data = ca.Dataset.open(tmp_path / "x.npy")
    samples = [kind() for _ in range(4)]
    random.seed(1)
    wrapped = ca.wrap(batches_of(samples), data, tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning, match="the rows of a batch cannot be told"):
        got = list(wrapped)
    assert random.random() == random.Random(1).random()
    assert [sample for batch in got for sample in (batch if isinstance(batch, list) else [batch])] == samples
    wrapped.recorder.close()


def _loader(samples: list[Augmenting], batch_size: int | None) -> Any:
    import torch

    class Samples(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(samples)

    return torch.utils.data.DataLoader(Samples(), batch_size=batch_size, collate_fn=_as_it_is)


def _as_it_is(samples: Any) -> Any:
    return samples


def test_batches_that_refuse_all_questions(tmp_path: Path) -> None:
    given = [Opaque() for _ in range(3)]
    gen = ca.wrap(iter(given), ca.Dataset.of(9, name="x"), log=tmp_path / "run.parquet")
    assert [id(batch) for batch in gen] == [id(batch) for batch in given]
    gen.recorder.close()


def test_a_fault_of_ours_does_not_come_back_after_recording_has_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a way of finding rows that fails at every batch THEN that is said once, and all batches go on."""

    def fail(batch: Any) -> int:
        raise ArithmeticError("ours")

    monkeypatch.setattr(ladder, "count_rows", fail)
    given = [np.arange(3), np.arange(4), np.arange(5)]
    gen = ca.wrap(iter(given), ca.Dataset.of(99, name="x"), log=tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning, match="ArithmeticError: ours") as said:
        assert [len(batch) for batch in gen] == [3, 4, 5]
    assert len(said) == 1
    gen.recorder.close()
