"""The story that must come true: wrap a Keras generator, train, read the verdict, fail CI. TF and torch backends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

import coverage_audit as ca

SCRIPT = Path(__file__).with_name("story_script.py")
SCENARIOS = ("slices:50", "slices:51", "carry:49", "carry:50", "slices:10:12:run", "carry:40:1")


def play(folder: Path, backend: str, *scenarios: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(folder), *scenarios]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)


def report(log: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "coverage_audit", "report", str(log), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module", params=["tensorflow", "torch"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    done = play(folder, request.param, *SCENARIOS)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize(
    ("name", "exit_status", "codes", "fix"),
    [
        # All of them shuffle shards and never mix their rows: CA304.
        ("slices-50", 2, {"CA304", "CA601", "CA603", "CA606"}, "steps_per_epoch = 51"),
        ("slices-51", 0, {"CA304", "CA606"}, None),
        ("carry-49", 2, {"CA304", "CA601", "CA603"}, "steps_per_epoch = 50"),
        ("carry-50", 0, {"CA304"}, None),
        ("slices-10", 0, {"CA304", "CA606"}, None),
        ("carry-40", 2, {"CA304", "CA601"}, "steps_per_epoch = 50"),
    ],
)
def test_the_verdict(played: Path, name: str, exit_status: int, codes: set[str], fix: str | None) -> None:
    log = played / f"{name}.parquet"
    done = report(log, "-f", "json")
    assert done.returncode == exit_status, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {f["code"] for f in told["findings"] if f["severity"] != "info"} == codes
    assert (played / f"{name}.verdict").read_text() == told["verdict"]
    (split,) = told["splits"]
    assert (split["counts"], split["totals"]["unexplained"], split["totals"]["unidentified"]) == ("trained", 0, 0)
    if fix is not None:
        first = told["findings"][0]
        assert (first["code"], first["fix"].split(",")[0]) == ("CA601", fix)


@pytest.mark.parametrize("name", [":".join(s.split(":")[:2]).replace(":", "-") for s in SCENARIOS])
def test_the_numbers_are_those_of_train_step(played: Path, name: str) -> None:
    """Per epoch: steps, visits, unique, missed and repeated rows, and visits per row over the run."""
    truth = json.loads((played / f"{name}.json").read_text())
    result = ca.audit(played / f"{name}.parquet")
    counts = result.split().counts
    assert len(counts.epochs) == len(truth)
    run: Counter[int] = Counter()
    for epoch, batches in zip(counts.epochs, truth, strict=True):
        visits = Counter(row for batch in batches for row in batch)
        run += visits
        assert epoch.complete
        assert (epoch.steps, epoch.visits, epoch.unique) == (len(batches), visits.total(), len(visits))
        assert epoch.missed.ids().tolist() == sorted(set(range(3190)) - set(visits))
        assert epoch.repeated.rows.ids().tolist() == sorted(row for row, n in visits.items() if n > 1)
    assert counts.run_visits.tolist() == [run[row] for row in range(3190)]
    steps = result.steps
    trained = steps[steps["step"] >= 0].sort_values("step")
    assert trained["rows"].tolist() == [len(batch) for batches in truth for batch in batches]
    firsts = [batch[0] for batches in truth for batch in batches]
    assert counts.shards is not None
    offsets = {s.name: int(o) for s, o in zip(counts.shards, counts.shards.offsets[:-1], strict=True)}
    assert [offsets[s] + r for s, r in zip(trained["first_shard"], trained["first_row"], strict=True)] == firsts


def test_missed_rows_as_ranges_per_shard(played: Path) -> None:
    missed = ca.audit(played / "slices-50.parquet").missed(epoch=0)
    assert list(missed.columns) == ["shard", "start", "stop"]
    assert (missed["stop"] - missed["start"]).sum() == len(
        set(range(3190)) - {r for b in json.loads((played / "slices-50.json").read_text())[0] for r in b}
    )


READERS: dict[str, Callable[[str], int]] = {
    "pandas": lambda path: int(pd.read_parquet(path)["count"].sum()),
    "duckdb": lambda path: int(duckdb.sql(f"select sum(count) from '{path}/*.parquet'").fetchall()[0][0]),
    "polars": lambda path: int(pl.read_parquet(path)["count"].sum()),
}


@pytest.mark.parametrize("reader", READERS)
def test_others_read_the_log_as_it_is(played: Path, reader: str) -> None:
    log = played / "slices-51.parquet"
    steps = ca.audit(log).steps
    assert READERS[reader](str(log)) == int(steps["rows"].sum())


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_killed_in_mid_epoch(tmp_path: Path, backend: str) -> None:
    """GIVEN kill -9 after step 30 of epoch 1, THEN exit 3, and every step until then is there."""
    done = play(tmp_path, backend, "killed:51")
    assert done.returncode == -9, done.stderr[-3000:]
    truth = json.loads((tmp_path / "killed-51.json").read_text())
    log = tmp_path / "killed-51.parquet"
    told = report(log, "-f", "json")
    assert told.returncode == 3, told.stdout + told.stderr
    found = json.loads(told.stdout)
    assert found["verdict"] == "incomplete"
    assert found["findings"][0]["code"] == "CA901"
    counts = ca.audit(log).split().counts
    assert [(e.epoch, e.complete) for e in counts.epochs] == [(0, True), (1, False)]
    # The callback that kills runs after ours: the step it ends is recorded.
    assert [e.steps for e in counts.epochs] == [len(batches) for batches in truth]
    assert [e.visits for e in counts.epochs] == [sum(map(len, batches)) for batches in truth]
    assert READERS["pandas"](str(log)) >= sum(len(b) for batches in truth for b in batches)
    assert report(log, "--allow-incomplete").returncode == 0
