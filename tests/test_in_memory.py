"""x in memory and ``Dataset.of(x)``, nothing else told: the rows that a model saw, through views, indices and shuffles.

Keras trains in in_memory_script.py, one process per backend; plain loops run here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_processes import keras_environment

import coverage_audit as ca
from coverage_audit.recorder.open_writers import close_all
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("in_memory_script.py")
WAYS = ["slices", "in_place", "anew", "order", "generator"]
CASES = [("tensorflow", way) for way in [*WAYS, "processes"]] + [("torch", way) for way in WAYS]
BACKENDS = ["tensorflow", "torch"]

N, B = 250, 32


@pytest.fixture(autouse=True)
def logs_are_closed() -> Iterator[None]:
    """Logs are read while they are recorded; no later test is to find them open."""
    yield
    close_all()


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def run(backend: str) -> Path:
        folder = tmp_path_factory.mktemp(backend)
        command = [sys.executable, str(SCRIPT), str(folder)]
        done = subprocess.run(command, env=keras_environment(backend), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


@pytest.mark.parametrize(("backend", "way"), CASES)
def test_keras_is_recorded_row_by_row(backend: str, way: str, folder_of: Callable[[str], Path]) -> None:
    recorded, trained = both(folder_of(backend), way)
    result = ca.audit(folder_of(backend) / f"{way}.parquet")
    totals = result.splits[0].totals

    assert recorded == trained
    assert (totals.missed, totals.repeated, totals.unidentified) == (0, 0, 0)
    assert result.verdict.name == "PASS"


@pytest.mark.parametrize("way", ["generator_in_place", "threads_in_place"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_are_shuffled_while_views_of_them_wait_in_a_queue(
    backend: str, way: str, folder_of: Callable[[str], Path]
) -> None:
    """The model is trained on whatever lies there by then; that is recorded, or that it is unknown."""
    recorded, trained = both(folder_of(backend), way)

    assert len(recorded) == len(trained) == 24
    assert [told or seen for told, seen in zip(recorded, trained, strict=True)] == trained
    assert recorded.count(None) <= 6


def test_slices_of_a_tensor_of_tensorflow(folder_of: Callable[[str], Path]) -> None:
    batches = recorded_batches(folder_of("tensorflow") / "tensor.parquet")

    assert [row for batch in batches for row in batch.rows or ()] == list(range(N))


def both(folder: Path, way: str) -> tuple[list[Any], list[tuple[int, ...]]]:
    """Per step the rows in the log, and those that the model was given."""
    trained = json.loads((folder / f"{way}.json").read_text())
    recorded = [batch.rows for batch in recorded_batches(folder / f"{way}.parquet") if batch.step >= 0]
    return recorded, [tuple(rows) for rows in trained]


def data() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.normal(size=(N, 8)).astype("f4"), np.arange(N)


def by_slices(x: Any, y: Any) -> Iterator[Any]:
    for at in range(0, N, B):
        yield x[at : at + B], y[at : at + B]


def by_order(x: Any, y: Any) -> Iterator[Any]:
    order = np.random.default_rng(5).permutation(N)
    for at in range(0, N, B):
        yield {"image": x[order[at : at + B]], "label": y[order[at : at + B]]}


def backwards(x: Any, y: Any) -> Iterator[Any]:
    for stop in range(N, 0, -B):
        yield x[max(stop - B, 0) : stop][::-1], y[max(stop - B, 0) : stop][::-1]


def scaled(x: Any, y: Any) -> Iterator[Any]:
    for batch, label in by_slices(x, y):
        yield batch.astype("f8"), label


def shuffled(x: Any, y: Any) -> Iterator[Any]:
    p = np.random.default_rng(6).permutation(N)
    x[:], y[:] = x[p], y[p]
    yield from by_slices(x, y)


@pytest.mark.parametrize("one_pass", [by_slices, by_order, backwards, scaled, shuffled])
def test_a_plain_generator(one_pass: Any, tmp_path: Path) -> None:
    """y holds the number of each row, and goes wherever x goes."""
    x, y = data()
    log = tmp_path / "run.parquet"
    dataset = ca.Dataset.of(x)
    truth = []

    def batches() -> Iterator[Any]:
        for _ in range(3):
            yield from one_pass(x, y)

    for batch in ca.wrap(batches(), dataset, log, batch_size=B, steps_per_epoch=8):
        truth.append(tuple(int(row) for row in (batch["label"] if isinstance(batch, dict) else batch[1])))
    result = ca.audit(log)

    assert [batch.rows for batch in recorded_batches(log)] == truth
    assert result.verdict.name == "PASS"
    assert result.splits[0].totals.visits == 3 * N


def test_rows_that_are_left_out_are_named(tmp_path: Path) -> None:
    x, y = data()
    for batch in ca.wrap(list(by_slices(x, y))[:-1], ca.Dataset.of(x, name="x"), tmp_path / "run.parquet"):
        assert batch[0].base is not None, "the batch itself: a view"
    result = ca.audit(tmp_path / "run.parquet")

    assert result.missed(epoch=0)[["shard", "start", "stop"]].to_numpy().tolist() == [["x", 224, 250]]


def test_batches_that_were_augmented_are_unidentified(tmp_path: Path) -> None:
    x, y = data()
    random = np.random.default_rng(1)
    for _ in ca.wrap(
        [(batch + random.normal(size=batch.shape), label) for batch, label in by_slices(x, y)],
        ca.Dataset.of(x),
        tmp_path / "run.parquet",
    ):
        continue
    result = ca.audit(tmp_path / "run.parquet")

    assert result.verdict.name == "INCOMPLETE"
    assert [finding.code for finding in result.findings] == ["CA904"]


def test_both_splits_of_one_array(tmp_path: Path) -> None:
    """Ids of a selection are those of the whole, so that leaks show."""
    x, y = data()
    everything = ca.Dataset.of(x)
    log = tmp_path / "run.parquet"
    train = ca.wrap(list(by_slices(x, y)), everything, log)
    valid = ca.wrap([(x[192:],)], everything.select(range(192, 250)), log, split="validation")
    for _ in (*train, *valid):
        continue
    leak = next(finding for finding in ca.audit(log).findings if finding.code == "CA701")

    assert leak.ranges == (("data", 192, 250),)
