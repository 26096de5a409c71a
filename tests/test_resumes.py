"""Three lives of one run, two of them ended by SIGKILL: what is counted is what the final weights really saw."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import coverage_audit as ca
from coverage_audit.result import AuditResult, Verdict

LIVES = (25, 9, 0)


def live(folder: Path, how: str, lives: tuple[int, ...] = LIVES) -> AuditResult:
    script = Path(__file__).with_name("resumed_loop.py")
    for die_at in lives:
        done = subprocess.run([sys.executable, str(script), str(folder), how, str(die_at)], check=False, timeout=60)
        assert done.returncode == (-signal.SIGKILL if die_at else 0)
    return ca.audit(folder / "run.parquet")


def causes(result: AuditResult) -> list[str]:
    """Codes of the findings that are errors, in order."""
    return [f.code for f in result.findings if f.severity.value == "error"]


@pytest.mark.parametrize("how", ["exact", "begin", "reshuffled", "offset"])
def test_counts_are_what_the_final_weights_saw(tmp_path: Path, how: str) -> None:
    counts = live(tmp_path, how).splits[0].counts

    seen = Counter((e, r) for e, r in json.loads((tmp_path / "weights.json").read_text()))
    visits = Counter(row for _, row in seen.elements())
    assert counts.run_visits.tolist() == [visits[row] for row in range(64)]
    assert [(e.epoch, e.visits, e.unique) for e in counts.epochs] == [
        (n, sum(t for (e, _), t in seen.items() if e == n), sum(e == n for e, _ in seen)) for n in range(3)
    ]
    assert counts.visits == seen.total() < counts.all_visits


def test_a_run_killed_twice_and_resumed_exactly_passes(tmp_path: Path) -> None:
    result = live(tmp_path, "exact")

    assert result.verdict is Verdict.PASS
    assert [f.code for f in result.findings] == []
    counts = result.splits[0].counts
    assert [(e.epoch, e.complete, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, True, 16, 0, 0),
        (1, True, 16, 0, 0),
        (2, True, 16, 0, 0),
    ]
    assert [(a.steps, a.steps_kept, a.state) for a in counts.attempts] == [
        (25, 24, "open"),
        (9, 6, "open"),
        (18, 18, "closed"),
    ]


@pytest.mark.parametrize(("how", "cause"), [("begin", "CA503"), ("reshuffled", "CA505"), ("offset", "CA504")])
def test_a_resume_that_is_wrong_is_named(tmp_path: Path, how: str, cause: str) -> None:
    result = live(tmp_path, how, (25, 0))

    assert result.verdict is Verdict.FAIL
    assert causes(result) == [cause]
    assert result.splits[0].totals.unexplained == 0
