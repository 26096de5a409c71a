"""How many epochs were asked for: what the trainer said last, else what was declared, beside what was done of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Found, Mark, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.reporters import terminal
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.testing.logs import write_log
from coverage_audit.testing.runs import shards_of

SHARDS = shards_of(4)


def fit(asked: int | None, numbers: list[int | None], batch: int = 0, load: str = "", save: str = "") -> list[Event]:
    """One fit over all rows in one batch an epoch; the epochs by the trainer's numbers."""

    def mark(kind: MarkKind, **data: Any) -> Mark:
        return Mark(kind, "train", 0, data)

    out: list[Event] = [mark(MarkKind.RESTORED, tag=load)] if load else []
    out += [mark(MarkKind.FIT_BEGIN, peek=-1, epochs=asked), mark(MarkKind.OPENED, segment=batch)]
    for at, number in enumerate(numbers, batch):
        told = {} if number is None else {"number": number}
        rows = BatchRows(4, ids=np.arange(4))
        out += [mark(MarkKind.EPOCH_BEGIN, **told), Batch("train", at, rows, int(Found.EXPLICIT), segment=batch)]
        out += [Consumed("train", 1), mark(MarkKind.EPOCH_END, **told)]
    out += [mark(MarkKind.CHECKPOINT, tag=save)] if save else []
    return [*out, mark(MarkKind.FIT_END), mark(MarkKind.IDLE)]


def audited(path: Path, *lives: list[Event], declared: int | None = None) -> AuditResult:
    info = SplitInfo("train", SHARDS.fingerprint, epochs=declared)
    for restart, events in enumerate(lives):
        write_log(path, SHARDS, [*events, Mark(MarkKind.CLOSED)], splits=[info], restart=restart)
    return ca.audit(path)


def said(result: AuditResult) -> str:
    """The sentence of the verdict, in one line."""
    text = " ".join(terminal.render(result).split())
    return text[text.index("PASS ") :].partition(" checked:")[0]


@pytest.mark.parametrize(
    ("lives", "declared", "expected"),
    [
        ([fit(3, [0])], None, "in the epoch, 1 step; 1 of 3 epochs asked for"),
        ([fit(3, [0, 1, 2])], None, "in each of 3 epochs, 1 step each"),
        ([fit(None, [None, None])], 5, "in each of 2 epochs, 1 step each; 2 of 5 epochs asked for"),
        ([fit(6, [3, 4, 5])], 6, "in each of 3 epochs, 1 step each"),
        ([fit(1, [0]) + fit(1, [0], 1) + fit(1, [0], 2)], 1, "in each of 3 epochs, 1 step each"),
        ([fit(5, [0, 1]) + fit(2, [0, 1], 2)], 5, "in each of 4 epochs, 1 step each"),
        ([fit(3, [0], save="a"), fit(3, [], load="a")], None, "in the epoch, 1 step; 1 of 3 epochs asked for"),
        ([fit(3, [0], save="a"), fit(3, [1, 2], load="a")], None, "in each of 3 epochs, 1 step each"),
    ],
    ids=["stopped", "whole", "declared", "from an epoch on", "three fits", "first cut", "died again", "resumed"],
)
def test_fewer_epochs_than_asked_for_are_said(
    tmp_path: Path, lives: list[list[Event]], declared: int | None, expected: str
) -> None:
    result = audited(tmp_path / "run.parquet", *lives, declared=declared)

    assert result.verdict is Verdict.PASS
    assert said(result) == f"PASS every one of 4 rows seen exactly once {expected}"


def test_of_a_loop_that_declares_its_epochs(tmp_path: Path) -> None:
    """GIVEN a loop of three epochs that stops after two THEN the verdict on these says so."""
    with ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4), batch_size=2, epochs=3) as rec:
        for _ in range(2):
            with rec.epoch():
                rec.step([0, 1])
                rec.step([2, 3])

    assert said(ca.audit(tmp_path / "run.parquet")).endswith("2 epochs, 2 steps each; 2 of 3 epochs asked for")
