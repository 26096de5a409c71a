"""A run of two attempts in each format: what was made, and what the final weights saw."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

import coverage_audit as ca
from coverage_audit.reporters import json_file, markdown, terminal
from coverage_audit.result import AuditResult

ROWS = [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.fixture
def resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditResult:
    """Saved after 2 of 4 steps, stopped after 3; gone on from there, and one epoch more."""
    monkeypatch.chdir(tmp_path)
    for restored, epochs in ((False, [ROWS[:3]]), (True, [ROWS[2:], ROWS])):
        with ca.Recorder("run.parquet", ca.Dataset.of(8, name="x"), batch_size=2, run_id="r") as rec:
            if restored:
                rec.restored("c")
            for batches in epochs:
                with rec.epoch():
                    for at, batch in enumerate(batches):
                        rec.step(batch)
                        if not restored and at == 1:
                            rec.checkpoint("c")
    return ca.audit("run.parquet")


def test_terminal(resumed: AuditResult) -> None:
    text = terminal.render(resumed)
    assert (
        "  every visit made: 18 in 9 steps of 2 attempts\n"
        "  what the final weights saw: 16 in 8 steps; 2 visits beyond the checkpoints\n"
        "    restored\n"
    ) in text
    assert (
        "  attempts\n"
        "  attempt   from                steps made   kept   visits   of them kept\n"
        "        0   the beginning                3      2        6              4\n"
        "        1   attempt 0, step 2            6      6       12             12\n"
    ) in text
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_markdown(resumed: AuditResult) -> None:
    assert (
        "### attempts\n"
        "\n"
        "| attempt | from | steps made | kept | visits | of them kept |\n"
        "|--:|:--|--:|--:|--:|--:|\n"
        "| 0 | the beginning | 3 | 2 | 6 | 4 |\n"
        "| 1 | attempt 0, step 2 | 6 | 6 | 12 | 12 |\n"
    ) in markdown.render(resumed)


def test_json(resumed: AuditResult) -> None:
    document = json_file.document(resumed)
    jsonschema.validate(document, json_file.schema())
    (split,) = document["splits"]
    assert split["attempts"] == [
        {
            "attempt": 0, "writers": 1, "ranks": 1, "complete": True, "restored": None, "steps": 3, "steps_kept": 2,
            "visits": 6, "visits_kept": 4,
        },
        {
            "attempt": 1, "writers": 1, "ranks": 1, "complete": True,
            "restored": {"tag": "c", "attempt": 0, "step": 2}, "steps": 6, "steps_kept": 6, "visits": 12,
            "visits_kept": 12,
        },
    ]  # fmt: skip
    assert split["totals"]["visits"] == 16
    assert split["ranks"] == [
        {"attempt": 0, "rank": 0, "process": 1, "steps": 3, "batches": 3, "visits": 6, "unique": 6},
        {"attempt": 1, "rank": 0, "process": 1, "steps": 6, "batches": 6, "visits": 12, "unique": 8},
    ]
