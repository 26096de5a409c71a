"""Loaders stopped and gone on with, each in its natural way: what is counted is what the final weights really saw.

The loops are in restarts/*.py; each life of a run is a process, most of them ended by SIGKILL. What their training
steps wrote down is stitched together here by playing saves and loads of the weights again, and held against the audit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from keras_processes import keras_environment

import coverage_audit as ca
from coverage_audit.cli.main import main
from coverage_audit.result import AuditResult
from coverage_audit.testing.recorded import recorded_batches

SCRIPTS = Path(__file__).with_name("restarts")
N = 60

RIGHT = {
    "torch_loop": ("pulled", "pulled_two_workers", "sampled", "stateful", "stateful_two_workers", "stateful_by_itself"),
    "sample_loaders": (
        "huggingface", "huggingface_by_itself", "huggingface_yields", "webdataset", "grain_loader",
        "grain_loader_two_workers", "grain_dataset", "grain_dataset_yields", "litdata", "litdata_two_workers",
    ),
    "keras_fit": ("pydataset", "pydataset_two_workers", "tf_data"),
}  # fmt: skip
"""Per script the cases that go on exactly where they were stopped."""

WRONG = {
    "torch_loop": {"begin": "CA503", "reshuffled": "CA505", "stateful_stale": "CA501"},
    "sample_loaders": {
        "huggingface_buffer": "CA502", "huggingface_buffer_yields": "CA502", "webdataset_begin": "CA503",
    },
    "keras_fit": {"pydataset_begins_again": "CA503", "tf_data_begins_again": "CA503"},
}  # fmt: skip
"""Those that do not, with the one cause of it."""

SILENT = {"torch_loop": ("silent",), "sample_loaders": ("litdata_by_itself",), "keras_fit": ("pydataset_silent",)}
"""Those that say nothing of what they restored."""

LOOSE = {"keras_fit": ("pydataset_hasty",)}
"""Those that are neither right nor wrong by a plan: their rows are what they are."""


@dataclass
class Truth:
    """What the training steps did. ``delivered``: rows of each step, life by life. ``weights``: (life, epoch, rows) of
    the steps that the final weights went through."""

    delivered: list[list[int]]
    weights: list[tuple[int, int, list[int]]]

    @classmethod
    def read(cls, path: Path) -> Truth:
        delivered, weights, life = [], list[tuple[int, int, list[int]]](), 0
        saved: dict[str, list[tuple[int, int, list[int]]]] = {}
        for line in map(json.loads, path.read_text().splitlines()):
            if line["life"] != life:
                life, weights = line["life"], []
            if line["did"] == "saved":
                saved[line["tag"]] = list(weights)
            elif line["did"] == "restored":
                weights = list(saved[line["tag"]])
            else:
                delivered.append(line["rows"])
                weights.append((life, line["epoch"], line["rows"]))
        return cls(delivered, weights)

    def epochs(self) -> list[tuple[int, int, int, int]]:
        """Per epoch: (number, steps, rows missed, visits too many)."""
        out = []
        for epoch in sorted({e for _, e, _ in self.weights}):
            steps = [rows for _, e, rows in self.weights if e == epoch]
            visits = [row for rows in steps for row in rows]
            out.append((epoch, len(steps), N - len(set(visits)), len(visits) - len(set(visits))))
        return out


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Path]]]:
    """The folders of the scripts, two of which run at a time."""
    pool = ThreadPoolExecutor(2)
    scripts = dict.fromkeys([*RIGHT, *WRONG, *SILENT])
    yield {script: pool.submit(_play, script, tmp_path_factory.mktemp(script)) for script in scripts}
    pool.shutdown(cancel_futures=True)


def _play(script: str, folder: Path) -> Path:
    if script == "keras_fit":
        environment = keras_environment("tensorflow")
    else:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_AUDIT")}
        environment = ours | {"HF_HOME": str(folder / "hf"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with (folder / "output.txt").open("w") as output:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SCRIPTS / f"{script}.py"), str(folder)],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=240,
        )  # fmt: skip
    assert done.returncode == 0, (folder / "output.txt").read_text()
    return folder


def pairs(of: Any) -> list[tuple[str, str]]:
    return [(script, case) for script, cases in of.items() for case in cases]


def causes(result: AuditResult) -> list[str]:
    """Codes of the findings that are errors, in order."""
    return [f.code for f in result.findings if f.severity.value == "error"]


@pytest.mark.parametrize(("script", "case"), pairs(RIGHT) + pairs(WRONG) + pairs(SILENT) + pairs(LOOSE))
def test_every_batch_is_recorded_with_its_rows(played: dict[str, Future[Path]], script: str, case: str) -> None:
    """GIVEN what the training steps of all lives were given THEN the log says the same, step by step."""
    folder = played[script].result() / case
    batches = recorded_batches(folder / "run.parquet")
    trained = [b for b in batches if b.step >= 0] or batches
    assert [None if b.rows is None else list(b.rows) for b in trained] == Truth.read(folder / "truth.jsonl").delivered


@pytest.mark.parametrize(("script", "case"), pairs(RIGHT) + pairs(WRONG))
def test_what_the_final_weights_saw_is_counted(played: dict[str, Future[Path]], script: str, case: str) -> None:
    """GIVEN saves and loads of the weights, played again THEN steps, visits, missed and repeated rows are theirs."""
    folder = played[script].result() / case
    counts = ca.audit(folder / "run.parquet").splits[0].counts
    truth = Truth.read(folder / "truth.jsonl")
    visits = Counter(row for _, _, rows in truth.weights for row in rows)

    assert counts.run_visits.tolist() == [visits[row] for row in range(N)]
    assert [(e.epoch, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == truth.epochs()
    kept = Counter(life for life, _, _ in truth.weights)
    assert [a.steps_kept for a in counts.attempts] == [kept[life] for life in range(len(counts.attempts))]
    assert sum(a.steps for a in counts.attempts) == len(truth.delivered)


@pytest.mark.parametrize(("script", "case"), pairs(RIGHT))
def test_a_run_resumed_exactly_passes(played: dict[str, Future[Path]], script: str, case: str) -> None:
    log = played[script].result() / case / "run.parquet"
    assert causes(ca.audit(log)) == []
    assert CliRunner().invoke(main, ["report", str(log)]).exit_code == 0


@pytest.mark.parametrize(
    ("script", "case", "cause"), [(script, case, code) for script, of in WRONG.items() for case, code in of.items()]
)
def test_a_resume_that_is_wrong_is_named(played: dict[str, Future[Path]], script: str, case: str, cause: str) -> None:
    log = played[script].result() / case / "run.parquet"
    result = ca.audit(log)
    assert causes(result) == [cause]
    assert result.splits[0].totals.unexplained == 0
    assert CliRunner().invoke(main, ["report", str(log)]).exit_code == 2


@pytest.mark.parametrize(("script", "case"), pairs(SILENT))
def test_a_restart_that_says_nothing_is_undecided(played: dict[str, Future[Path]], script: str, case: str) -> None:
    """GIVEN a life that goes on exactly, and tells the recorder nothing of it THEN nobody can say what counts."""
    log = played[script].result() / case / "run.parquet"
    result = ca.audit(log)
    messages = [f.message for f in result.findings if f.code == "CA901"]
    assert "1 restart without a known restore point" in messages
    assert CliRunner().invoke(main, ["report", str(log)]).exit_code == 3
