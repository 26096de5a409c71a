"""transformers' Trainer on wrapped loaders: what is recorded is what the model was trained on.

The trainings are in hf_trainer_scenarios.py, which run in processes of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import run, told

import coverage_audit as ca
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("hf_trainer_scenarios.py")
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
SCENARIOS = ["epochs", "max_steps", "accumulation", "stopped", "workers", "evaluated", "own_loader"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf_trainer")
    run(SCRIPT, folder, **QUIET)
    return folder


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    for life in ("first", "second"):
        run(SCRIPT, folder, life, **QUIET)
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_are_the_batches_that_the_model_was_trained_on(folder: Path, name: str) -> None:
    """
    GIVEN a Trainer whose loader is wrapped, or who wraps the loader it makes
    WHEN it is one batch ahead, accumulates gradients, or is stopped before an epoch is over
    THEN the trained steps are what ``forward`` got in training, in order
    """
    recorded = recorded_batches(folder / f"{name}.parquet")
    assert [list(b.rows or ()) for b in recorded if b.step >= 0] == told(folder, name)


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("epochs", [(0, 7, True), (1, 7, True)]),
        ("max_steps", [(0, 7, True), (1, 2, False)]),
        ("accumulation", [(0, 7, True), (1, 7, True)]),
        ("own_loader", [(0, 7, True), (1, 7, True)]),
    ],
)
def test_epochs_are_the_trainers(folder: Path, name: str, epochs: list[tuple[int, int, bool]]) -> None:
    """GIVEN a training WHEN max_steps ends it in mid-epoch THEN that epoch is not judged."""
    result = ca.audit(folder / f"{name}.parquet")
    table = result.epochs
    assert [*zip(table["number"], table["steps"], table["complete"], strict=True)] == epochs
    assert result.verdict.name == "PASS"
    assert [finding.code for finding in result.findings] == []


def test_evaluations_are_a_split_of_their_own(folder: Path) -> None:
    """GIVEN a wrapped evaluation loader WHEN each epoch is evaluated THEN each evaluation is one pass over its data."""
    log = folder / "evaluated.parquet"
    held_out = [list(b.rows or ()) for b in recorded_batches(log, "validation")]
    assert held_out == [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]] * 2
    assert ca.audit(log).verdict.name == "PASS"


@pytest.mark.parametrize(
    ("name", "verdict", "first"),
    [("right", "PASS", []), ("data_not_skipped", "FAIL", ["CA503"]), ("at_an_end", "PASS", [])],
)
def test_resumed_trainings(lives: Path, name: str, verdict: str, first: list[str]) -> None:
    """
    GIVEN a training that ended after a checkpoint, in mid-epoch or at an epoch's end
    WHEN another process goes on with ``resume_from_checkpoint``, and skips the data that was seen or does not
    THEN what the final weights saw is each row once in each epoch, or the pass was begun again
    """
    result = ca.audit(lives / f"{name}.parquet")
    assert result.verdict.name == verdict
    assert [finding.code for finding in result.findings][:1] == first
