"""Real trainings: what the log says was trained and evaluated is what the model saw, and nothing else.

The scenarios are in keras_scenarios.py, one process per backend; here its logs are held against its notes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from keras_cases import cases_of, folders_of
from scenario_runs import rows_by, told

from coverage_audit.runlog.reader import read_log

SCRIPT = Path(__file__).with_name("keras_scenarios.py")

Batches = list[list[int]]


CASES = cases_of(SCRIPT)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return folders_of(SCRIPT, tmp_path_factory)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("backend", "name"), CASES, ids=lambda value: value)
def test_the_log_says_what_the_model_saw(folder_of: Any, backend: str, name: str) -> None:
    """
    GIVEN a real training with a wrapped generator
    WHEN its log is read
    THEN every step has the rows that train_step or test_step was given, in order, and the yields that no step took
         are there as such
    """
    folder = folder_of(backend)
    truth = told(folder, name)
    log = read_log(folder / f"{name}.parquet")
    for split, seen in (("train", truth["trained"]), ("validation", truth["evaluated"])):
        consumed = rows_by(log, split, stepped=True)
        assert consumed == list(enumerate(seen))
        dropped = rows_by(log, split, stepped=False)
        never_seen = Counter(map(tuple, truth["yielded"][split])) - Counter(map(tuple, seen))
        assert Counter(tuple(rows) for _, rows in dropped) == never_seen


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_log_is_finished_when_the_process_ends(folder_of: Any, backend: str) -> None:
    """GIVEN trainings that ended well THEN their logs are closed, and have parts in the place of their journals."""
    log = read_log(folder_of(backend) / "infinite.parquet")
    (end,) = log.run.writers
    assert (end.state, end.live, end.torn, end.failures, end.unidentified) == ("closed", False, False, (), ())
    assert [p.name for p in (folder_of(backend) / "infinite.parquet").iterdir()] == [
        "part-a000-r0000-p0001-00000.parquet"
    ]


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_epochs_and_fits(folder_of: Any, backend: str) -> None:
    """GIVEN two fits of one epoch, five steps each THEN the split has two epochs, each of a fit of its own."""
    log = read_log(folder_of(backend) / "two_fits.parquet")
    (end,) = log.run.writers
    marks = [m for m in log.epoch_marks(end.writer) if m.split == "train"]
    assert [(m.epoch, m.fit, m.number, m.complete, m.steps_declared, m.steps_taken) for m in marks] == [
        (0, 0, 0, True, 5, 5),
        (1, 1, 0, True, 5, 5),
    ]


RIGHT_AFTER = {
    "infinite": "idle",
    "slices": "idle",
    "finite_without_steps": "idle",
    "one_step_epochs": "idle",
    "two_fits": "idle",
    "validation_infinite": "idle",
    "both_callbacks": "idle",
    "stopped": "idle",
    "failing_then_fit": "idle",
    "evaluated_alone": "idle",
    "failing": "open",
    "without_callback": "open",
}


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_log_is_complete_right_after_fit(folder_of: Any, backend: str) -> None:
    """
    GIVEN logs that were read in the training process, right after fit or evaluate came back
    THEN they are idle, whatever prefetch threads still did; but open where fit died, or no callback told of its end
    """
    states = {name: json.loads((folder_of(backend) / f"{name}.json").read_text())["state"] for name in RIGHT_AFTER}
    assert states == RIGHT_AFTER
