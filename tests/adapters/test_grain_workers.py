"""Grain with worker processes: every batch under its rows and its worker, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import delivered, run

from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("grain_scenarios.py")


@pytest.mark.parametrize(
    ("scenario", "workers"),
    [
        ("two_passes", [0, 1, 0, 1, 0, 1, 0, 1] * 2),
        ("restart", [0, 1, 0, 0, 1, 0, 1, 0, 1]),
        ("prefetched", [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2] * 2),
        ("batched_after", [-1] * 17),
    ],
)
def test_delivered_batches_are_recorded(scenario: str, workers: list[int], tmp_path: Path) -> None:
    log_path = tmp_path / "run.parquet"
    truth = delivered(run(SCRIPT, scenario, log_path))
    log = recorded_batches(log_path)
    assert [None if batch.rows is None else list(batch.rows) for batch in log] == truth
    assert [batch.worker for batch in log] == workers
