"""Real trainings: what the log says was trained and evaluated is what the model saw, and nothing else.

The scenarios are in keras_scenarios.py, one process per backend; here its logs are held against its notes.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_processes import keras_environment

from coverage_audit.runlog.reader import Log, read_log

SCRIPT = Path(__file__).with_name("keras_scenarios.py")
ROWS_PER_BATCH = 4

Batches = list[list[int]]


def scenario_names(*variables: str) -> list[str]:
    """What the script defines, without importing it and so without importing Keras."""
    found = {}
    for node in ast.parse(SCRIPT.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Tuple):
            found[node.targets[0].id] = [name.id for name in node.value.elts if isinstance(name, ast.Name)]
    return [name for variable in variables for name in found[variable]]


CASES = [("tensorflow", name) for name in scenario_names("SCENARIOS", "ONLY_TF")]
CASES += [("torch", name) for name in scenario_names("SCENARIOS")]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def run(backend: str) -> Path:
        folder = tmp_path_factory.mktemp(backend)
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(folder)],
            env=keras_environment(backend),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


def rows_by(log: Log, split: str, *, stepped: bool) -> list[tuple[int, list[int]]]:
    """(step, rows) of each consumed batch in order of steps; or (batch, rows) of those never consumed.

    A row is told as the scenarios tell it in their data: 1000 times its shard, plus its place there.
    """
    (end,) = log.run.writers
    out: dict[int, list[int]] = {}
    for v in log.visits(end.writer):
        for i in np.flatnonzero(v.split == list(v.splits).index(split)) if split in v.splits else []:
            if (v.step[i] >= 0) == stepped and v.stage[i] != 1:
                key = int(v.step[i] if stepped else v.batch[i])
                first = 1000 * int(v.shard[i]) + int(v.row[i])
                out.setdefault(key, []).extend(range(first, first + int(v.count[i])))
    return sorted(out.items())


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
    truth = json.loads((folder / f"{name}.json").read_text())
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
