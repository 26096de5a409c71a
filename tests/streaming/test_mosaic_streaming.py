"""MosaicML Streaming: each delivered batch under its sample ids. Run by ``make test-streaming``, in its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_runs import delivered, keeps_contract, run

from coverage_audit.testing.recorded import recorded_batches

HERE = Path(__file__).parent
SCRIPT = HERE / "streaming_scenarios.py"


def script(*arguments: Any, folder: Path) -> str:
    """Locks and shared memory of Streaming are named after what it finds in the temporary folder: one for each run."""
    return run(SCRIPT, *arguments, PYTHONPATH=str(HERE / "stand_ins"), TMPDIR=str(folder))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    script("make", folder, folder=folder)
    return folder


def ran(scenario: str, data: Path, folder: Path) -> tuple[list[Any], list[Any]]:
    log = folder / "run.parquet"
    return delivered(script(scenario, data, log, folder=folder)), recorded_batches(log)


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
    truth, log = ran(scenario, data, tmp_path)
    assert [None if batch.rows is None else list(batch.rows) for batch in log] == truth
    assert {batch.worker for batch in log} == workers


def test_a_resumed_loader_goes_on_in_its_pass(data: Path, tmp_path: Path) -> None:
    """What comes after a restart is not told as a pass from its beginning; the pass after it is."""
    _, log = ran("resumed-0", data, tmp_path)
    assert [batch.pass_ for batch in log] == [0] * 3 + [-1] * 13 + [1] * 16


def test_the_contract_is_kept(data: Path) -> None:
    own = {"PYTHONPATH": str(HERE / "stand_ins"), "TMPDIR": str(data), "STREAMING_FOLDER": str(data)}
    keeps_contract(HERE / "streaming_contract.py", **own)
