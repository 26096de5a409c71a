"""Lightning's Trainer on wrapped loaders: what is recorded is what its steps got.

The trainings are in lightning_scenarios.py, which run in processes of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import run, run_ranks, told

import coverage_audit as ca
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("lightning_scenarios.py")
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
SCENARIOS = [
    *("epochs", "max_steps", "limited", "accumulation", "evaluated_often", "overfitted", "stream", "workers"),
    "making",
]


def rows_of(log: Path, split: str = "train") -> list[list[int]]:
    return [list(b.rows or ()) for b in recorded_batches(log, split) if b.step >= 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lightning")
    run(SCRIPT, folder, **QUIET)
    return folder


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    for life in ("first", "second"):
        run(SCRIPT, folder, life, **QUIET)
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_are_the_batches_that_the_steps_got(folder: Path, name: str) -> None:
    """
    GIVEN a Trainer on wrapped loaders
    WHEN it looks whether validation works, pulls ahead, stops early, evaluates in between or makes its loader anew
    THEN the trained steps are what training_step got, in order, and the evaluated ones what validation_step got
    """
    trained, evaluated = told(folder, name)
    log = folder / f"{name}.parquet"
    assert rows_of(log) == trained
    assert rows_of(log, "validation") == evaluated


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("epochs", [(0, 7, True), (1, 7, True)]),
        ("max_steps", [(0, 7, True), (1, 3, False)]),
        ("accumulation", [(0, 7, True), (1, 7, True)]),
        ("evaluated_often", [(0, 7, True), (1, 7, True)]),
        ("making", [(0, 7, True), (1, 7, True)]),
    ],
)
def test_epochs_are_the_trainers(folder: Path, name: str, epochs: list[tuple[int, int, bool]]) -> None:
    """GIVEN a right training WHEN max_steps ends it in mid-epoch THEN that epoch is not judged."""
    result = ca.audit(folder / f"{name}.parquet")
    table = result.epochs
    table = table[table["split"] == "train"]
    assert [*zip(table["number"], table["steps"], table["complete"], strict=True)] == epochs
    assert (result.verdict.name, [finding.code for finding in result.findings]) == ("PASS", [])


def test_epochs_that_are_limited_are_short(folder: Path) -> None:
    """GIVEN limit_train_batches=4 of 7 WHEN it is audited THEN that is the first cause of what is missed."""
    result = ca.audit(folder / "limited.parquet")
    assert next(finding.code for finding in result.findings) == "CA601"


def test_two_processes_each_with_its_share(tmp_path: Path) -> None:
    """
    GIVEN two processes, and a wrapped loader that the Trainer makes anew around a DistributedSampler
    WHEN both train
    THEN each rank's log says what its steps got, and all rows are seen once in each epoch
    """
    run_ranks(SCRIPT, tmp_path, "two", **QUIET)
    got = [told(tmp_path, f"two-{rank}") for rank in range(2)]
    assert rows_of(tmp_path / "two.parquet") == [*got[0], *got[1]]
    result = ca.audit(tmp_path / "two.parquet")
    assert (result.verdict.name, result.findings) == ("PASS", ())


@pytest.mark.parametrize(("name", "verdict", "first"), [("in_an_epoch", "FAIL", ["CA503"]), ("at_its_end", "PASS", [])])
def test_resumed_trainings(lives: Path, name: str, verdict: str, first: list[str]) -> None:
    """
    GIVEN a training that ended after a checkpoint of ModelCheckpoint
    WHEN another process goes on with fit(ckpt_path=...) and a loader that cannot be resumed
    THEN a checkpoint in mid-epoch began the data again, and one at an epoch's end went on rightly
    """
    result = ca.audit(lives / f"{name}.parquet")
    assert result.verdict.name == verdict
    assert [finding.code for finding in result.findings][:1] == first
