"""Grain with worker processes: every batch under its rows and its worker, also after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("grain_scenarios.py")


def run(scenario: str, folder: Path) -> tuple[list[list[int]], list[Any]]:
    log = folder / "run.parquet"
    done = subprocess.run(
        [sys.executable, SCRIPT, scenario, log], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("delivered "))
    return json.loads(line.removeprefix("delivered ")), recorded_batches(log)


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
    truth, log = run(scenario, tmp_path)
    assert [list(batch.rows) for batch in log] == truth
    assert [batch.worker for batch in log] == workers
