"""A gate that fails shows what explains it, though that be a note which others explain in part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import story

import coverage_audit as ca
from coverage_audit.model.finding import Severity
from coverage_audit.reporters import markdown, short, terminal
from coverage_audit.result import AuditResult, Verdict


def pulled_ahead(log: Path) -> AuditResult:
    """40 rows in batches of 4; three epochs of two steps, after each of which a batch is pulled and dropped."""

    def batches() -> Iterator[np.ndarray]:
        while True:
            for at in range(0, 40, 4):
                yield np.arange(at, at + 4)

    contract = {"kind": "exactly-once", "per": "run"}
    loader = ca.wrap(batches(), ca.Dataset.of(40), log, batch_size=4, ids=lambda batch: batch, contract=contract)
    rec = loader.recorder
    for _ in range(3):
        taken = iter(loader)
        with rec.epoch():
            for _ in range(2):
                next(taken)
                rec.step()
        next(taken)
    rec.close()
    return ca.audit(log)


EXPLAINED = """\
FAIL  missed: 16 rows
info  CA601 short-epoch   2 steps, one pass needs ceil(40 / 4) = 10
        an epoch ends after 2 of the 10 batches of a pass
        explains 72 of 96 missed row-epochs · first: data 8–39 (epoch 0) ·
        explained by CA605
        fix: train on: one pass takes 10 steps, and the run took 6
info  CA605 untrained-batches   2 batches yielded and never trained on, in 2
        places; later batches were
"""


def test_a_failed_gate_of_the_run_names_cause_and_fix(tmp_path: Path) -> None:
    """GIVEN rows left out over the run WHEN only notes explain them THEN these follow the gate, with what helps."""
    result = pulled_ahead(tmp_path / "run.parquet")

    text = terminal.render(result)

    assert result.verdict is Verdict.FAIL
    assert text[text.index("FAIL") :].startswith(EXPLAINED)
    assert max(map(len, text.splitlines())) <= 80
    assert "\nnext: coverage-audit explain CA601 ·" in text
    assert "fix: train on: one pass takes 10 steps, and the run took 6" in short.render(result)
    assert "**fix:** train on: one pass takes 10 steps, and the run took 6" in markdown.render(result)


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.WARNING])
def test_an_error_that_tells_of_the_rows_says_it_alone(severity: Severity) -> None:
    """GIVEN an error that explains the rows THEN the notes stay where they were, and no line is added."""
    result = story.short_epochs()
    note = replace(result.findings[0], code="CA603", name="drifting-epochs", severity=Severity.INFO, explained=1,
                   claimed_by=("CA601",))  # fmt: skip
    error = next(f for f in result.findings if f.severity is Severity.ERROR)

    told = terminal.render(replace(result, findings=(error, note)))
    assert "CA603 drifting-epochs" not in told
    assert told[told.index("FAIL") :].startswith(f"FAIL  {error.code}")
    shown = terminal.render(replace(result, findings=(replace(error, severity=severity), note)))
    assert shown.index("FAIL  186 missed") < shown.index(f"{error.code} {error.name}") < shown.index("CA603 drifting")
