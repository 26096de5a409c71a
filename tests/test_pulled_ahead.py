"""A trainer that pulls beyond the end of a pass and drops it: the short epoch explains all that was not trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import coverage_audit as ca

ROWS, SIZE = 3190, 64


@pytest.mark.parametrize("ahead", [0, 1, 2, 4])
def test_what_was_pulled_ahead_belongs_to_its_pass(tmp_path: Path, ahead: int) -> None:
    """GIVEN an epoch of 49 steps where a pass takes 50 WHEN some batches more were pulled THEN CA601 explains it."""
    log = tmp_path / "run.parquet"
    ids = (np.arange(at, min(at + SIZE, ROWS)) for _ in range(2) for at in range(0, ROWS, SIZE))
    gen = ca.wrap(ids, ca.Dataset.of(ROWS), log, batch_size=SIZE, steps_per_epoch=49, ids=lambda batch: batch)
    with gen.recorder.epoch():
        batches = iter(gen)
        for _ in range(49 + ahead):
            next(batches)
        for _ in range(49):
            gen.recorder.step()
    gen.recorder.close()
    result = ca.audit(log)
    totals = result.split().totals
    assert (totals.missed, totals.explained, totals.unexplained, totals.untrained_batches) == (54, 54, 0, ahead)
    first = result.findings[0]
    assert (first.code, first.severity.value, first.fix) == ("CA601", "error", "steps_per_epoch = 50")
    assert (first.rows, first.ranges, first.explains) == (54, (("data", 3136, 3190),), ("CA101",))


def test_batches_of_no_rows_share_no_batch_size(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    with ca.Recorder(log, ca.Dataset.of(10)) as recorder, recorder.epoch():
        recorder.step([])
    result = ca.audit(log)
    assert (result.verdict, result.split().counts.batch_size) == (ca.Verdict.FAIL, None)
