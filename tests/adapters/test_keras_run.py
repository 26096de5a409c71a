"""Real trainings of unchanged code: what the log says was trained and evaluated is what the model saw.

The scenarios are in keras_run_scenarios.py, one process per backend; here their logs are held against their notes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras_cases import BACKENDS, cases_of, folders_of
from scenario_runs import rows_by, told

from coverage_audit.runlog.reader import read_log

SCRIPT = Path(__file__).with_name("keras_run_scenarios.py")


CASES = cases_of(SCRIPT)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def parts(backend: str) -> list[list[str]]:
        names = [name for of, name in CASES if of == backend]
        forking = [name for name in names if name.startswith("data_loader")]  # not beside TensorFlow's threads
        return [[name for name in names if name not in forking], forking]

    return folders_of(SCRIPT, tmp_path_factory, parts)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("backend", "name"), CASES, ids=lambda value: value)
def test_the_log_says_what_the_model_saw(folder_of: Any, backend: str, name: str) -> None:
    """
    GIVEN a real training with Keras patched and nothing wrapped
    WHEN its log is read
    THEN every step has the rows that train_step or test_step was given, in order
    """
    folder = folder_of(backend)
    truth = told(folder, name)
    assert truth["failures"] == []
    if name == "pipeline_distributed":
        assert not (folder / f"{name}.parquet").exists()
        return
    log = read_log(folder / f"{name}.parquet")
    (end,) = log.run.writers
    assert (end.state, end.failures, end.unidentified) == ("closed", (), ())
    for split, seen in (("train", truth["trained"]), ("validation", truth["evaluated"])):
        assert rows_by(log, split, stepped=True) == list(enumerate(seen))


@pytest.mark.parametrize(
    ("backend", "name", "fits"),
    [
        ("tensorflow", "files", [(0, 10), (0, 10), (0, 10)]),
        ("tensorflow", "files_twice", [(0, 10), (0, 10), (1, 10), (1, 10)]),
        ("tensorflow", "files_in_part", [(0, 4), (0, 4), (0, 2), (0, 4), (0, 4)]),
        ("tensorflow", "pipeline", [(0, 10), (0, 10), (0, 10)]),
        ("torch", "files_by_threads", [(0, 10), (0, 10), (0, 10)]),
        ("torch", "pipeline_of_a_generator", [(0, 5), (0, 5), (0, 5)]),
        ("torch", "data_loader", [(0, 10), (0, 10)]),
    ],
)
def test_epochs_and_fits(folder_of: Any, backend: str, name: str, fits: list[tuple[int, int]]) -> None:
    """GIVEN fits of several epochs THEN each epoch knows its fit and its steps, and is complete."""
    log = read_log(folder_of(backend) / f"{name}.parquet")
    (end,) = log.run.writers
    marks = [m for m in log.epoch_marks(end.writer) if m.split == "train"]
    assert [(m.fit, m.steps_taken) for m in marks] == fits
    assert all(m.complete for m in marks)


@pytest.mark.parametrize(
    ("backend", "name", "dropped"),
    [
        # tf.data shows a batch when its step takes it, PyDatasets are taken to their end.
        ("tensorflow", "pipeline_in_part", 0),
        ("tensorflow", "pipeline_stopped", 0),
        ("tensorflow", "files_twice", 0),
        # Keras looks at batches before the loop, which then begins the data anew.
        ("tensorflow", "data_loader_unbuilt", 0),
        ("torch", "data_loader_unbuilt", 0),
        ("torch", "files_unbuilt", 0),
        ("torch", "files_twice", 0),
        # On torch, the workers' queue goes on after that look, and the batch is lost.
        ("torch", "files_by_threads_unbuilt", 1),
    ],
)
def test_what_was_delivered_and_not_trained(folder_of: Any, backend: str, name: str, dropped: int) -> None:
    """GIVEN what Keras takes for itself THEN it is on record as yielded, and as nothing more."""
    log = read_log(folder_of(backend) / f"{name}.parquet")
    assert len(rows_by(log, "train", stepped=False)) == dropped


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_trainer_was_told(folder_of: Any, backend: str) -> None:
    """GIVEN fits with declared lengths THEN the split declares them."""
    folder = folder_of(backend)
    assert told(folder, "generator")["facts"]["train"] == {"steps_per_epoch": 7, "epochs": 3}
    assert told(folder, "generator_by_name")["facts"]["train"] == {"steps_per_epoch": 4, "epochs": 2}
    assert told(folder, "files")["facts"] == {"train": {"epochs": 3}}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_recorded_is_said_once(folder_of: Any, backend: str) -> None:
    """GIVEN fits that are left as they are THEN a note says so, and nothing else is said anywhere."""
    notes = {name: told(folder_of(backend), name)["notes"] for b, name in CASES if b == backend}
    expected = {"arrays": ["fit on arrays is not recorded: Keras itself takes every row once an epoch"]}
    if backend == "tensorflow":
        expected["pipeline_of_ragged"] = [
            "a tf.data.Dataset is not recorded: the callable of ids= does not work on symbolic tensors, and elements "
            "(RaggedTensorSpec(TensorShape([2, None]), tf.float32, 1, tf.int64), TensorSpec(shape=(2, 1), "
            "dtype=tf.float32, name=None cannot be shown to it otherwise: give the key or the position of the ids "
            "[bad-ids]"
        ]
        expected["pipeline_distributed"] = ["a tf.data.Dataset is not recorded: tf.distribute takes its batches apart"]
    assert {name: said_there for name, said_there in notes.items() if said_there} == expected
