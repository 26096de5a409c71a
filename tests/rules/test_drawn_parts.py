"""Evaluations over rows that are drawn at random: what the contract lets through, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from coverage_audit.auditor import judge
from coverage_audit.config import Gates
from coverage_audit.counts.tables import Counts
from coverage_audit.model.contract import Contract
from coverage_audit.result import AuditResult
from coverage_audit.testing.runs import Run, Step, shards_of

N = 400


def evaluated(contract: Contract, *, replace: bool, gates: Gates | None = None) -> AuditResult:
    """Three evaluations of 200 draws out of 400 rows."""
    rng = np.random.default_rng(5)
    steps = [
        Step(rows.tolist(), epoch=e)
        for e in range(3)
        for rows in np.split(rng.choice(N, 200, replace=replace), 10)
    ]  # fmt: skip
    run = Run(shards_of(N), steps, batch_size=20, split="validation", evaluation=True, contract=contract)
    counts = run.count()
    return judge(Counts(counts.run, (counts,)), gates)


@pytest.mark.parametrize(
    ("contract", "severity", "verdict", "fix"),
    [
        (Contract(), "error", "fail", "permute the rows once per pass, or declare contract='with-replacement'"),
        (
            Contract.of("subset"),
            "warning",
            "pass",
            "draw the part without replacement, or declare contract='with-replacement'",
        ),
        (
            Contract.of("at-least-once"),
            "error",
            "fail",
            "permute the rows once per pass, or declare contract='with-rep",
        ),
        (Contract.of("with-replacement"), "info", "pass", ""),
    ],
)
def test_drawn_with_replacement(contract: Contract, severity: str, verdict: str, fix: str) -> None:
    """A subset promises no row, so that what remains of it are repeats, and repeats as such warn."""
    result = evaluated(contract, replace=True)
    (found,) = [f for f in result.findings if f.code == "CA203"]
    assert (found.severity.value, result.verdict.value) == (severity, verdict)
    assert found.fix.startswith(fix)


def test_repeats_of_a_subset_fail_where_that_is_asked_for() -> None:
    result = evaluated(Contract.of("subset"), replace=True, gates=Gates(fail_on=("repeated",)))
    assert result.verdict.value == "fail"


def test_another_part_each_time_without_a_repeat_is_a_subset() -> None:
    result = evaluated(Contract.of("subset"), replace=False)
    assert (result.verdict.value, [f.code for f in result.findings if f.severity.value in ("error", "warning")]) == (
        "pass", [],
    )  # fmt: skip
