"""LitData: every delivered batch under the positions of its samples, with and without workers, after a restart too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_runs import delivered, keeps_contract, run

from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("litdata_scenarios.py")


def script(*arguments: Any, home: Path) -> str:
    """LitData keeps what it has read below the home folder."""
    return run(SCRIPT, *arguments, HOME=str(home))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def data(home: Path) -> Path:
    folder = home / "optimized"
    script("make", folder, home=home)
    return folder


def ran(scenario: str, data: Path, folder: Path) -> tuple[list[Any], list[Any]]:
    log = folder / "run.parquet"
    return delivered(script(scenario, data, log, home=data.parent)), recorded_batches(log)


@pytest.mark.parametrize(
    ("scenario", "workers"),
    [
        ("two_passes-0", {-1}),
        ("two_passes-2", {0, 1}),
        ("by_torch-2", {0, 1}),
        ("resumed-0", {-1}),
        ("resumed-2", {0, 1}),
        ("subsampled-2", {0, 1}),
        ("overridden-2", {0, 1}),
        ("paired-2", {0, 1}),
    ],
)
def test_delivered_batches_are_recorded(scenario: str, workers: set[int], data: Path, tmp_path: Path) -> None:
    truth, log = ran(scenario, data, tmp_path)
    assert [None if batch.rows is None else list(batch.rows) for batch in log] == truth
    assert {batch.worker for batch in log} == workers


def test_a_resumed_loader_goes_on_in_its_pass(data: Path, tmp_path: Path) -> None:
    """What comes after a restart is not told as a pass from its beginning."""
    _, log = ran("resumed-2", data, tmp_path)
    assert [batch.pass_ for batch in log] == [0] * 3 + [-1] * 7


def test_every_iteration_of_a_loader_is_a_pass(data: Path, tmp_path: Path) -> None:
    _, log = ran("two_passes-0", data, tmp_path)
    assert [batch.pass_ for batch in log] == [0] * 10 + [1] * 10


def test_the_contract_is_kept(data: Path) -> None:
    keeps_contract(SCRIPT.with_name("litdata_contract.py"), HOME=str(data.parent), LITDATA_FOLDER=str(data))
