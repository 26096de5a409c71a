"""Keras runs that are killed and restored by BackupAndRestore, each life a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from keras_processes import keras_environment

import coverage_audit as ca
from coverage_audit.model.event import MarkKind
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.runlog.reader import read_log


def live(folder: Path, save_freq: str, place: str, *die_at: int) -> AuditResult:
    script = Path(__file__).with_name("keras_lives.py")
    for at in die_at:
        command = [sys.executable, str(script), str(folder), save_freq, place, str(at)]
        done = subprocess.run(
            command, env=keras_environment("tensorflow"), check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == (-signal.SIGKILL if at else 0), done.stderr
    return ca.audit(folder / "run.parquet")


def checkpoints(folder: Path) -> list[list[tuple[str, str, int]]]:
    """Per attempt: (kind, file name, steps of train before it)."""
    log = read_log(folder / "run.parquet")
    return [[(p.kind, Path(str(p.tag)).name, p.steps) for p in log.summary(writer).places] for writer in log.writers]


@pytest.mark.parametrize("place", ["first", "last"])
def test_killed_in_an_epoch_and_restored_to_its_begin_passes(tmp_path: Path, place: str) -> None:
    """GIVEN backups at the end of epochs WHEN the run dies in epoch 1 THEN Keras begins that epoch again, rightly."""
    result = live(tmp_path, "epoch", place, 23, 0)

    assert result.verdict is Verdict.PASS
    counts = result.splits[0].counts
    assert [(e.epoch, e.number, e.complete, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, 0, True, 16, 0, 0),
        (1, 1, True, 16, 0, 0),
        (2, 2, True, 16, 0, 0),
    ]
    assert [(a.steps, a.steps_kept, a.state) for a in counts.attempts] == [(22, 16, "open"), (32, 32, "closed")]
    backup = "latest.weights.h5"
    assert checkpoints(tmp_path) == [
        [("checkpoint", backup, 16), ("checkpoint", "model-1.keras", 16)],
        [
            ("restored", backup, 0),
            ("checkpoint", backup, 16),
            ("checkpoint", "model-2.keras", 16),
            ("checkpoint", backup, 32),
            ("checkpoint", "model-3.keras", 32),
        ],
    ]


def test_a_backup_inside_an_epoch_lies_after_the_step_it_holds(tmp_path: Path) -> None:
    """GIVEN a callback of ours that is told of a batch after the backup THEN the backup still holds that step; Keras
    begins the epoch again, and its first rows weigh double."""
    result = live(tmp_path, "5", "last", 24, 0)

    assert result.verdict is Verdict.FAIL
    assert [f.code for f in result.findings if f.severity.value == "error"] == ["CA503"]
    counts = result.splits[0].counts
    assert [(e.epoch, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, 16, 0, 0),
        (1, 20, 0, 16),
        (2, 16, 0, 0),
    ]
    saved = [steps for kind, name, steps in checkpoints(tmp_path)[0] if name == "latest.weights.h5"]
    assert saved == [5, 10, 15, 20]


def test_killed_before_the_first_backup_begins_with_new_weights(tmp_path: Path) -> None:
    result = live(tmp_path, "epoch", "first", 4, 0)

    assert result.verdict is Verdict.PASS
    counts = result.splits[0].counts
    assert [(e.epoch, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, 16, 0, 0), (1, 16, 0, 0), (2, 16, 0, 0),
    ]  # fmt: skip
    assert [(a.steps, a.steps_kept) for a in counts.attempts] == [(3, 0), (48, 48)]
    assert [m.data for m in read_log(tmp_path / "run.parquet").marks(counts.run.writers[1].writer)
            if m.kind is MarkKind.RESTORED] == [{"tag": None}]  # fmt: skip
