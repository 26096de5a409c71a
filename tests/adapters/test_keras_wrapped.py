"""Real trainings on wrapped PyDatasets, tf.data and DataLoaders: what the log says was trained is what the model saw.

The scenarios are in keras_wrapped_scenarios.py, one process per backend; here their logs are held against their notes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras_cases import BACKENDS, cases_of, folders_of
from scenario_runs import rows_by, told

from coverage_audit.runlog.reader import read_log
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("keras_wrapped_scenarios.py")
BY_YIELDS = ("files_by_hand", "pipeline_by_hand", "pipeline_from_threads")
WITHOUT_CALLBACK = ("files_without_callback", "pipeline_without_callback", "loader_without_callback")


CASES = cases_of(SCRIPT)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return folders_of(SCRIPT, tmp_path_factory)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("backend", "name"), [case for case in CASES if case[1] not in (*BY_YIELDS, *WITHOUT_CALLBACK)]
)
def test_the_log_says_what_the_model_saw(folder_of: Any, backend: str, name: str) -> None:
    """
    GIVEN a real training on wrapped loaders, with their callbacks
    WHEN its log is read
    THEN every step has the rows that train_step or test_step was given, in order
    """
    folder = folder_of(backend)
    truth = told(folder, name)
    if name == "pipeline_distributed":
        assert truth["warned"] == ["cannot record this _BatchDataset: tf.distribute takes its batches apart"]
        assert rows_by(read_log(folder / f"{name}.parquet"), "train", stepped=False) == []
        return
    log = read_log(folder / f"{name}.parquet")
    (end,) = log.run.writers
    assert (end.state, end.failures, end.unidentified) == ("closed", (), ())
    for split, seen in (("train", truth["trained"]), ("validation", truth["evaluated"])):
        assert rows_by(log, split, stepped=True) == list(enumerate(seen))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BY_YIELDS)
def test_loops_by_hand_are_recorded_yield_by_yield(folder_of: Any, backend: str, name: str) -> None:
    folder = folder_of(backend)
    rows = [list(b.rows or ()) for b in recorded_batches(folder / f"{name}.parquet")]
    assert (sorted(rows) if name == "pipeline_from_threads" else rows) == told(folder, name)["trained"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WITHOUT_CALLBACK)
def test_without_the_callback_yields_are_counted(folder_of: Any, backend: str, name: str) -> None:
    """GIVEN a model that Keras builds from a batch THEN that batch is none of the yields, nor are looks at shapes."""
    folder = folder_of(backend)
    recorded = recorded_batches(folder / f"{name}.parquet")
    assert [b.pass_ for b in recorded] == [0] * 4 + [1] * 4
    assert [list(b.rows or ()) for b in recorded] == told(folder, name)["trained"]


@pytest.mark.parametrize(
    ("backend", "name", "fits"),
    [
        ("tensorflow", "files", [(0, 10), (0, 10), (0, 10)]),
        ("tensorflow", "files_twice", [(0, 10), (0, 10), (1, 10), (1, 10)]),
        ("tensorflow", "files_in_part", [(0, 4), (0, 4), (0, 2), (0, 4), (0, 4)]),
        ("tensorflow", "pipeline", [(0, 10), (0, 10), (0, 10)]),
        ("tensorflow", "loader_in_part", [(0, 4), (0, 4), (0, 2), (0, 4), (0, 4)]),
        ("torch", "loader_with_workers", [(0, 10), (0, 10)]),
        ("torch", "loader_twice", [(0, 10), (0, 10), (1, 10), (1, 10)]),
        ("tensorflow", "pipeline_of_unknown_length", [(0, 5), (0, 5), (0, 5)]),
        ("torch", "files_by_threads", [(0, 10), (0, 10), (0, 10)]),
        ("torch", "pipeline_enumerated", [(0, 10), (0, 10)]),
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
        *((backend, name, 0) for backend in BACKENDS
          for name in ("pipeline_in_part", "pipeline_stopped", "pipeline_goes_on", "files_twice")),
        # Nor is anything kept of what builds a model, is predicted on, or validates the very data it trains on.
        *((backend, f"{kind}_{what}", 0) for backend in BACKENDS for kind in ("files", "pipeline")
          for what in ("unbuilt", "predicted", "in_both_places")),
        *((backend, f"loader_{what}", 0) for backend in BACKENDS
          for what in ("trained", "unbuilt", "with_workers", "with_workers_that_stay", "predicted", "in_both_places",
                       "of_its_own_kind")),
        ("torch", "loader_in_part", 0),
        # On torch, the workers' queue goes on after building the model, and the batch is lost.
        ("torch", "files_by_threads_unbuilt", 1),
    ],
)  # fmt: skip
def test_what_was_delivered_and_not_trained(folder_of: Any, backend: str, name: str, dropped: int) -> None:
    """GIVEN what Keras takes for itself THEN it is on record as yielded, or not at all."""
    log = read_log(folder_of(backend) / f"{name}.parquet")
    assert len(rows_by(log, "train", stepped=False)) == dropped


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_follows_a_wrapped_dataset_and_cannot_be_followed_is_told(folder_of: Any, backend: str) -> None:
    """GIVEN skip() and batch() behind wrap() THEN one warning each, and no wrong rows."""
    assert told(folder_of(backend), "pipeline_goes_wrong")["warned"] == [
        f"cannot record this _BatchDataset: {what}() behind wrap() changes which batches reach the model; wrap the "
        "dataset last"
        for what in ("skip", "batch")
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loader_that_iterates_in_its_own_way_is_said_to_be_lost(folder_of: Any, backend: str) -> None:
    assert told(folder_of(backend), "loader_of_its_own_kind")["warned"] == [
        "cannot record this Own: Own has an __iter__ of its own, which may give the loop others than the batches of "
        "its loader"
    ]
