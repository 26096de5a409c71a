"""MosaicML Streaming: each delivered batch under its sample ids. Run by ``make test-streaming``, in its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coverage_audit.testing.recorded import recorded_batches

HERE = Path(__file__).parent
SCRIPT = HERE / "streaming_scenarios.py"


def script(*arguments: Any, folder: Path) -> str:
    """Locks and shared memory of Streaming are named after what it finds in the temporary folder: one for each run."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE / "stand_ins"), "TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    script("make", folder, folder=folder)
    return folder


def run(scenario: str, data: Path, folder: Path) -> tuple[list[Any], list[Any]]:
    log = folder / "run.parquet"
    printed = script(scenario, data, log, folder=folder)
    (line,) = (line for line in printed.splitlines() if line.startswith("delivered "))
    return json.loads(line.removeprefix("delivered ")), recorded_batches(log)


@pytest.mark.parametrize(
    ("scenario", "workers"),
    [
        ("two_passes-0", {-1}),
        ("two_passes-2", {0, 1}),
        ("own_loader-0", {-1}),
        ("own_loader-2", {0, 1}),
        ("in_order-2", {0, 1}),
        ("resumed-0", {-1}),
        ("resumed-2", {0, 1}),
        ("overridden-2", {0, 1}),
        ("packed-2", {0, 1}),
    ],
)
def test_delivered_batches_are_recorded(scenario: str, workers: set[int], data: Path, tmp_path: Path) -> None:
    truth, log = run(scenario, data, tmp_path)
    assert [None if batch.rows is None else list(batch.rows) for batch in log] == truth
    assert {batch.worker for batch in log} == workers


def test_a_resumed_loader_goes_on_in_its_pass(data: Path, tmp_path: Path) -> None:
    """What comes after a restart is not told as a pass from its beginning; the pass after it is."""
    _, log = run("resumed-0", data, tmp_path)
    assert [batch.pass_ for batch in log] == [0] * 3 + [-1] * 13 + [1] * 16


def test_the_contract_is_kept(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "streaming_contract.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(HERE / "stand_ins"),
            "TMPDIR": str(data),
            "STREAMING_FOLDER": str(data),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
