"""A DataLoader over arrays in memory that are not, or are no longer, in the order in which they were declared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning
from coverage_audit.testing.recorded import recorded_batches

N, B = 120, 10
Tensors = TensorDataset


def rows() -> Any:
    """Float32 (N, 6), the number of each row in its first column."""
    x = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
    x[:, 0] = np.arange(N)
    return x


def permuted(x: Any) -> Any:
    return Tensors(torch.from_numpy(x[np.random.default_rng(1).permutation(N)]))


def joined_otherwise(x: Any) -> Any:
    return ConcatDataset([Tensors(torch.from_numpy(x[40:])), Tensors(torch.from_numpy(x[:40]))])


def shuffled_in_place(x: Any) -> Any:
    np.random.default_rng(2).shuffle(x)
    return Tensors(torch.from_numpy(x))


def nothing(x: Any) -> None:
    """Between epochs."""


def shuffle(x: Any) -> None:
    np.random.default_rng(3).shuffle(x)


def as_declared(x: Any) -> Any:
    return Tensors(torch.from_numpy(x))


def record(loader: Any, data: ca.Dataset, log: Path, between: Callable[[], None]) -> tuple[list[Any], list[Any]]:
    """Rows in the log and rows that the loop got, per batch of three epochs."""
    recorded, trained = ca.wrap(loader, data, log), []
    for _ in range(3):
        trained += [tuple(map(int, batch[0][:, 0].tolist())) for batch in recorded]
        between()
    recorded.recorder.close()
    return [batch.rows for batch in recorded_batches(log)], trained


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("make", "between"),
    [(permuted, nothing), (joined_otherwise, nothing), (shuffled_in_place, nothing), (as_declared, shuffle)],
)
def test_rows_are_those_that_were_declared(make: Any, between: Any, workers: int, tmp_path: Path) -> None:
    """WHEN positions are other rows THEN this is found out at the first batch of an epoch, and said once."""
    x = rows()
    data = ca.Dataset.of(x)
    loader = DataLoader(make(x), B, shuffle=True, num_workers=workers)
    with pytest.warns(RecordingWarning, match="at the positions of the sampler are other rows") as warned:
        recorded, trained = record(loader, data, tmp_path / "run.parquet", lambda: between(x))

    assert recorded == trained
    assert len(warned) == 1
    result = ca.audit(tmp_path / "run.parquet")
    found = (result.verdict.name, [finding.code for finding in result.findings])
    assert found == (("PASS", []) if between is nothing else ("INCOMPLETE", ["CA904"]))  # when was it shuffled?


def with_the_row_before(x: Any) -> Any:
    return Tensors(torch.from_numpy(x), torch.from_numpy(np.roll(x, 1, axis=0)))


def among_equal_rows(x: Any) -> Any:
    x[:, 1:] = 0
    x[:, 0] = np.arange(N) // 2 * 2  # of two equal rows, the first number
    return Tensors(torch.from_numpy(x))


def normalised(x: Any) -> Any:
    return Tensors(torch.from_numpy(np.concatenate((x[:, :1], x[:, 1:] - x[:, 1:].mean()), axis=1)))


def normalised_in_place(x: Any) -> Any:
    x[:, 1:] -= x[:, 1:].mean()
    return Tensors(torch.from_numpy(x))


@pytest.mark.parametrize("make", [with_the_row_before, among_equal_rows, normalised, normalised_in_place])
def test_positions_are_believed_where_nothing_says_otherwise(make: Any, tmp_path: Path) -> None:
    """GIVEN pairs of rows, rows that equal each other, or arithmetic THEN the sampler's positions are the rows."""
    x = rows()
    before = ca.Dataset.of(x)
    dataset = make(x)
    data = ca.Dataset.of(x) if make is among_equal_rows else before
    loader = DataLoader(dataset, B)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecordingWarning)
        recorded, _ = record(loader, data, tmp_path / "run.parquet", lambda: None)

    assert recorded == [tuple(range(at, at + B)) for _ in range(3) for at in range(0, N, B)]
