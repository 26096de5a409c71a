"""The cause of a faulty resume does not depend on how many rows there are."""

from __future__ import annotations

from pathlib import Path

import pytest

import coverage_audit as ca


@pytest.mark.parametrize("scale", [10, 10_000])
def test_rows_that_come_again_first_are_replayed(tmp_path: Path, scale: int) -> None:
    """GIVEN a resume that goes 15 batches back and stops 8 before the end WHEN judged THEN it replayed rows."""
    data = ca.Dataset.of(30 * scale, name="rows")
    log = tmp_path / "run.parquet"
    for first, last, restored in ((0, 20, None), (5, 22, "save")):
        with ca.Recorder(log, data, batch_size=scale, run_id="one") as recorder:
            if restored is not None:
                recorder.restored(restored)
            with recorder.epoch():
                for step in range(first, last):
                    recorder.step(range(step * scale, (step + 1) * scale))
                if restored is None:
                    recorder.checkpoint("save")
                    recorder.close()  # nothing more is written by this attempt: its epoch stays open
    result = ca.audit(log)
    assert [f.code for f in result.findings if f.explained] == ["CA501"]
    assert (result.splits[0].totals.missed, result.splits[0].totals.repeated) == (8 * scale, 15 * scale)
