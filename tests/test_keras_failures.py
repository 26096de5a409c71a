"""Real trainings by Keras and tf.data that miss rows: the first cause is named. Those that do not are left in peace.

The trainings are in keras_failures.py, one process per backend.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from keras_processes import keras_environment

import coverage_audit as ca
from coverage_audit.model.finding import Severity
from coverage_audit.runlog.reader import read_log

SCRIPT = Path(__file__).with_name("keras_failures.py")
BACKENDS = ("tensorflow", "torch")
OF_ORDER = {"CA302", "CA305"}
"""Some of these read their data in storage order, which is said beside what is missed."""

CAUSES = {
    # name: (verdict, what is said and explained by nothing else)
    "K1": ("fail", ["CA601"]),
    "K2": ("fail", ["CA103"]),
    "K2 shuffled rows": ("fail", ["CA103"]),
    "K7": ("fail", ["CA604", "CA601"]),
    "K7 tf.data": ("fail", ["CA604", "CA601"]),
    "F1": ("fail", ["CA607"]),
    "F6": ("fail", ["CA103"]),
    "F6 shuffled rows": ("fail", ["CA103"]),
    "right PyDataset": ("pass", []),
    "right tf.data": ("pass", []),
    "right tf.data, repeated": ("pass", []),
}


def run(folder: Path, backend: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), *more],
        env=keras_environment(backend),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def trained(backend: str) -> Path:
        folder = tmp_path_factory.mktemp(backend)
        process = run(folder, backend)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return folder

    return trained


def unexplained(result: ca.AuditResult) -> list[str]:
    """Codes of warnings and errors that nothing else explains, in order."""
    grave = [f for f in result.findings if not f.claimed_by and f.severity is not Severity.INFO]
    return [f.code for f in grave if f.code not in OF_ORDER]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CAUSES)
def test_the_first_cause_is_named(folder_of: Any, backend: str, name: str) -> None:
    result = ca.audit(folder_of(backend) / f"{name}.parquet")
    assert (result.verdict.value, unexplained(result)) == CAUSES[name]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name in CAUSES if name.startswith("right")])
def test_right_loaders_are_left_in_peace(folder_of: Any, backend: str, name: str) -> None:
    result = ca.audit(folder_of(backend) / f"{name}.parquet")
    assert [f.message for f in result.findings] == []


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*CAUSES, "K5", "K5 of short epochs", "PyDataset by threads"])
def test_it_is_what_the_model_saw(folder_of: Any, backend: str, name: str) -> None:
    """GIVEN the rows of each step as the model took them THEN the counts of the log are theirs."""
    folder = folder_of(backend)
    seen = json.loads((folder / f"{name}.json").read_text())
    log = read_log(folder / f"{name}.parquet")
    (end,) = log.run.writers
    for split, steps in (("train", seen["trained"]), ("validation", seen["evaluated"])):
        recorded: dict[int, list[int]] = {}
        for v in log.visits(end.writer):
            for i in range(len(v.step)):
                if v.splits[v.split[i]] == split and v.step[i] >= 0:
                    first = int(v.row[i])
                    recorded.setdefault(int(v.step[i]), []).extend(range(first, first + int(v.count[i])))
        assert [rows for _, rows in sorted(recorded.items())] == steps


def test_batches_lost_between_fits(folder_of: Any) -> None:
    """K5: on TensorFlow the prefetched batches of each fit are lost to the next; on torch nothing is prefetched."""
    lost = ca.audit(folder_of("tensorflow") / "K5.parquet")
    assert unexplained(lost)[0] == "CA605"
    both = ca.audit(folder_of("tensorflow") / "K5 of short epochs.parquet")
    assert (both.verdict.value, unexplained(both)[:1]) == ("fail", ["CA605"])
    assert "CA601" in [f.code for f in both.findings if f.severity is Severity.ERROR]
    none = ca.audit(folder_of("torch") / "K5.parquet")
    assert (none.verdict.value, unexplained(none)) == ("pass", [])


def test_a_batch_lost_to_building_the_model(folder_of: Any) -> None:
    """GIVEN workers, and metrics that Keras builds from a first batch THEN on torch that batch is lost in every epoch:
    one is missed, another comes again; on TensorFlow none is."""
    assert ca.audit(folder_of("tensorflow") / "PyDataset by threads.parquet").findings == ()
    result = ca.audit(folder_of("torch") / "PyDataset by threads.parquet")
    assert result.verdict.value == "fail"
    assert {"CA101", "CA605", "CA201"} <= set(unexplained(result))


@pytest.mark.timeout(120)
def test_shards_of_shuffles_of_their_own(tmp_path: Path) -> None:
    """F3: two processes. Shuffled alike, the shards are a whole; shuffled apart, ranks share rows and others miss."""
    ranks = [run(tmp_path, "tensorflow", str(rank)) for rank in range(2)]
    for process in ranks:
        said, _ = process.communicate()
        assert process.returncode == 0, said
    right = ca.audit(tmp_path / "right shards.parquet")
    assert (right.verdict.value, right.findings) == ("pass", ())
    wrong = ca.audit(tmp_path / "F3.parquet")
    assert wrong.verdict.value == "fail"
    assert "CA403" in [f.code for f in wrong.findings]
