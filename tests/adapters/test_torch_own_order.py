"""A map-style dataset with an order of its own over declared files: found out at the first batch, nothing in doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning
from coverage_audit.testing.recorded import recorded_batches


class Ordered(Dataset[Any]):
    """Sample i is row ``order[i]`` of the file."""

    def __init__(self, file: Path) -> None:
        self._rows = np.load(file)
        self._order = np.random.default_rng(3).permutation(len(self._rows))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._rows[self._order[index]].copy())


def test_rows_are_those_of_the_file_and_no_batch_is_in_doubt(tmp_path: Path) -> None:
    """
    GIVEN a dataset whose positions are the rows of the declared file in another order
    WHEN two passes are recorded
    THEN every batch is recorded with the rows that it holds, which is warned of once, and the run passes
    """
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    rows[:, 0] = np.arange(40)
    np.save(tmp_path / "x.npy", rows)
    loader = DataLoader(Ordered(tmp_path / "x.npy"), batch_size=8, shuffle=True)
    recorded = ca.wrap(loader, ca.Dataset.open(tmp_path / "x.npy"), tmp_path / "run.parquet", batch_size=8)
    with pytest.warns(RecordingWarning, match="at the positions of the sampler are other rows") as warned:
        truth = [batch[:, 0].int().tolist() for _ in range(2) for batch in recorded]
    recorded.recorder.close()
    assert len(warned) == 1
    assert [list(batch.rows or ()) for batch in recorded_batches(tmp_path / "run.parquet")] == truth
    result = ca.audit(tmp_path / "run.parquet")
    assert (result.verdict.name, list(result.findings)) == ("PASS", [])
