"""audit() on real logs: one, several, with another dataset, without one, after a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import LogError
from coverage_audit.result import AuditResult, Verdict


def record(log: Path, data: ca.Dataset | None, rows: list[list[int]], **options: object) -> None:
    """One epoch per list of rows, two rows a batch."""
    with ca.Recorder(str(log), data, **options) as recorder:  # type: ignore[arg-type]
        for epoch in rows:
            with recorder.epoch():
                for i in range(0, len(epoch), 2):
                    recorder.step(np.array(epoch[i : i + 2]))


def codes(result: AuditResult) -> list[str]:
    return [f.code for f in result.findings if f.severity.value in ("error", "incomplete")]


def test_logs_of_two_ranks_are_one_run(tmp_path: Path) -> None:
    """GIVEN two ranks that wrote apart, each half of the rows, THEN together they cover everything."""
    data = ca.Dataset.of(8, name="rows")
    for rank in (0, 1):
        rows = [list(range(rank, 8, 2))] * 2
        record(tmp_path / f"{rank}.parquet", data, rows, run_id="r", data_parallel=(rank, 2), batch_size=2)
    # What the other rank read is unknown, so that nothing can be judged (CA902).
    assert ca.audit(tmp_path / "0.parquet").verdict is Verdict.INCOMPLETE
    both = ca.audit([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert (both.verdict, both.run.ranks) == (Verdict.PASS, 2)
    assert [(e.steps, e.unique) for e in both.split().counts.epochs] == [(2, 8), (2, 8)]
    assert both.ranks["steps"].tolist() == [4, 4]


def test_another_dataset_is_told(tmp_path: Path) -> None:
    record(tmp_path / "a.parquet", ca.Dataset.of(4, name="rows"), [[0, 1, 2, 3]])
    assert ca.audit(tmp_path / "a.parquet", dataset=ca.Dataset.of(4, name="rows")).verdict is Verdict.PASS
    result = ca.audit(tmp_path / "a.parquet", dataset=ca.Dataset.of(5, name="rows"))
    assert (result.verdict, result.exit_status, codes(result)) == (Verdict.INCOMPLETE, 3, ["CA907"])
    assert result.findings[0].message == ("the given dataset is not the recorded one: rows had 4 rows and has 5")


def test_a_dataset_can_be_given_afterwards(tmp_path: Path) -> None:
    """GIVEN a run recorded without a dataset, its ids count over the one that is given to the audit."""
    record(tmp_path / "a.parquet", None, [[0, 1, 2, 3], [3, 2, 1, 0]])
    without = ca.audit(tmp_path / "a.parquet")
    assert (without.verdict, codes(without)) == (Verdict.INCOMPLETE, ["CA905"])
    assert ca.audit(tmp_path / "a.parquet", dataset=ca.Dataset.of({"x": np.zeros(3), "y": np.zeros(1)})).verdict is (
        Verdict.PASS
    )
    short = ca.audit(tmp_path / "a.parquet", dataset=ca.Dataset.of(6, name="rows"))
    assert short.split().counts.never_seen.ids().tolist() == [4, 5]


def test_a_restart_without_a_restore_point_is_incomplete(tmp_path: Path) -> None:
    data = ca.Dataset.of(4, name="rows")
    record(tmp_path / "a.parquet", data, [[0, 1, 2, 3]], run_id="one")
    record(tmp_path / "a.parquet", data, [[0, 1, 2, 3]], run_id="two", resume=True)
    result = ca.audit(tmp_path / "a.parquet")
    assert (result.verdict, codes(result), result.run.attempts) == (Verdict.INCOMPLETE, ["CA901"], 2)


def test_writers_with_other_data_are_not_counted_together(tmp_path: Path) -> None:
    record(tmp_path / "a.parquet", ca.Dataset.of(2, name="rows"), [[0, 1]], run_id="one")
    record(
        tmp_path / "a.parquet", ca.Dataset.of({"x": np.zeros(2), "y": np.zeros(2)}), [[2, 3]], run_id="two", resume=True
    )
    result = ca.audit(tmp_path / "a.parquet")
    assert result.verdict is Verdict.INCOMPLETE
    assert "CA907" in codes(result)
    assert result.split().counts.visits == 2


def test_a_log_without_splits(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no run log"):
        ca.audit(tmp_path / "none.parquet")
