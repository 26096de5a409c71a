"""A loop that goes on in mid-epoch: which batches its steps took is known, or said to be unknown."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning

STEPS = 10


class Batches:
    """Ten batches of four rows, the same each time."""

    def __iter__(self) -> Iterator[Any]:
        for step in range(STEPS):
            yield {"row": np.arange(4 * step, 4 * step + 4)}


def skips_inside(loader: Any, recorder: ca.Recorder, done: int) -> None:
    recorder.restored("save")
    with recorder.epoch():
        for step, _ in enumerate(loader):
            if step >= done:
                recorder.step()


def skips_before(loader: Any, recorder: ca.Recorder, done: int) -> None:
    batches = iter(loader)
    for _ in range(done):
        next(batches)
    recorder.restored("save")
    with recorder.epoch():
        for _ in batches:
            recorder.step()


def says_its_rows(loader: Any, recorder: ca.Recorder, done: int) -> None:
    recorder.restored("save")
    with recorder.epoch():
        for step, batch in enumerate(loader):
            if step >= done:
                recorder.step(batch["row"])


def two_lives(folder: Path, second: Callable[[Any, ca.Recorder, int], None], done: int) -> ca.AuditResult:
    """An attempt that saves after ``done`` steps, and one that goes on from there."""
    data, log = ca.Dataset.of(4 * STEPS, name="rows"), folder / "run.parquet"
    for life in (0, 1):
        loader = ca.wrap(Batches(), data, log, ids=lambda b: (b["row"], b), run_id="one", batch_size=4)
        recorder = loader.recorder
        if life:
            second(Batches() if second is says_its_rows else loader, recorder, done)
            recorder.close()
            continue
        with recorder.epoch():
            for step, _ in enumerate(loader):
                recorder.step()
                if step + 1 == done:
                    recorder.checkpoint("save")
                    recorder.close()
                    break
    return ca.audit(log)


@pytest.mark.parametrize("second", [skips_before, says_its_rows])
def test_an_exact_resume_passes(tmp_path: Path, second: Callable[[Any, ca.Recorder, int], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = two_lives(tmp_path, second, 3)
    assert (result.verdict, result.splits[0].totals.missed) == (ca.Verdict.PASS, 0)


def test_batches_thrown_away_inside_the_epoch_leave_its_rows_unknown(tmp_path: Path) -> None:
    with pytest.warns(RecordingWarning, match="several batches were pulled before the first step") as caught:
        result = two_lives(tmp_path, skips_inside, 3)
    assert len(caught) == 1
    assert result.verdict is ca.Verdict.INCOMPLETE
    assert "CA904" in [f.code for f in result.findings]
    assert not [f.code for f in result.findings if f.code.startswith("CA50")]


def test_nothing_thrown_away_is_no_doubt(tmp_path: Path) -> None:
    """GIVEN a save right at the begin of an epoch WHEN gone on from THEN each step took the batch before it."""
    data, log = ca.Dataset.of(4 * STEPS, name="rows"), tmp_path / "run.parquet"
    for life in (0, 1):
        loader = ca.wrap(Batches(), data, log, ids=lambda b: (b["row"], b), run_id="one", batch_size=4)
        if life:
            loader.recorder.restored("save")
        with loader.recorder.epoch():
            for _ in loader:
                loader.recorder.step()
        loader.recorder.checkpoint("save")
        loader.recorder.close()
    result = ca.audit(log)
    assert (result.verdict, len(result.splits[0].counts.epochs)) == (ca.Verdict.PASS, 2)
