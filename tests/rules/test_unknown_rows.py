"""What is concluded where the rows of batches are unknown, and what is said to help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import coverage_audit
from coverage_audit.auditor import judge
from coverage_audit.counts.remarks import Reason, Remarks, read_remarks, sum_remarks
from coverage_audit.counts.tables import Counts
from coverage_audit.identity.batches import Unknown
from coverage_audit.identity.explicit import Explicit
from coverage_audit.model.event import Mark, MarkKind
from coverage_audit.reporters import terminal
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.rules import _remedy
from coverage_audit.rules._remedy import BY_WORDS, remedy_for
from coverage_audit.rules._rule import find_rule
from coverage_audit.testing.runs import Run, Step, shards_of

PACKAGE = Path(coverage_audit.__file__).parent


def judged(*epochs: list[list[int] | None], rows: int = 6, remarks: Remarks = Remarks()) -> AuditResult:  # noqa: B008
    """Batches of 2; None is one whose rows are unknown."""
    steps = [Step(ids, epoch=e, count=2) for e, batches in enumerate(epochs) for ids in batches]
    counts = Run(shards_of(rows), steps, batch_size=2, remarks=remarks).count()
    return judge(Counts(counts.run, (counts,)))


def told(result: AuditResult) -> list[tuple[str, str, str]]:
    return [(f.code, f.severity.value, f.message) for f in result.findings]


def test_nothing_known_is_nothing_concluded() -> None:
    """GIVEN not one known row THEN the record is incomplete, and no loader is accused of anything."""
    for result in (judged([None] * 3), judged([None] * 3, [None] * 3, [None] * 3), judged([None] * 4, [None] * 4)):
        (split,) = result.splits
        n = split.counts.unidentified_batches
        assert told(result) == [("CA904", "incomplete", f"the rows of {n} of {n} batches are unknown ({2 * n} rows)")]
        assert result.verdict is Verdict.INCOMPLETE
        assert {(p.pass_from, p.complete) for p in split.counts.passes} == {("unknown", False)}
        assert {e.starts_at for e in split.counts.epochs} == {None}


def test_batches_of_an_unknown_size_are_no_partial_batches() -> None:
    """GIVEN batches of which not even the size is known THEN nothing is said of missed rows or of batch sizes."""
    for declared, rows in ((2, 6), (None, 3)):
        steps = [Step(None, epoch=0, count=0)] * 3
        counts = Run(shards_of(6), steps, batch_size=declared).count()
        assert told(judge(Counts(counts.run, (counts,)))) == [
            ("CA904", "incomplete", f"the rows of 3 of 3 batches are unknown ({rows} rows)")
        ]


def test_too_few_steps_stay_too_few() -> None:
    """Arithmetic needs no rows: two batches of 2 cannot hold 6."""
    assert ("CA601", "error", "2 steps cannot visit all rows, which take at least 3") in told(judged([None] * 2))


def test_what_may_have_been_in_unknown_batches_is_a_note() -> None:
    one: list[list[int] | None] = [[0, 1], None, [4, 5]]
    assert told(judged(one, one, one)) == [
        ("CA904", "incomplete", "the rows of 3 of 9 batches are unknown (6 rows)"),
        ("CA202", "warning", "rows were seen 0 to 3 times (mean 2.0); 2 rows never"),
        ("CA101", "info", "at most 6 row-epochs missed in all 3 epochs"),
        ("CA102", "info", "at most 2 of 6 rows never seen in the run"),
    ]


def test_what_cannot_have_been_there_is_still_missed() -> None:
    """GIVEN 4 missed rows and 2 unknown ones THEN at least 2 are missed, at most 4."""
    assert ("CA101", "error", "at most 4 of 6 rows missed in epoch 0") in told(judged([[0, 1], None]))


def test_bounds_are_marked_in_the_table() -> None:
    text = terminal.render(judged([[0, 1], None, [4, 5]], [[0, 1], [2, 3], [4, 5]]), width=120)
    assert [line.split() for line in text.splitlines()[2:5]] == [
        ["epoch", "steps", "needed", "visited", "unique", "missed", "repeated", "starts", "at"],
        ["0", "3", "3", "4", "≥", "4", "≤", "2", "≥", "0", "–"],
        ["1", "3", "3", "6", "6", "0", "0", "–"],
    ]
    assert "  over the run: every row seen 1 to 2 times, never seen 0\n" in text


def test_a_run_of_unknown_rows_is_not_said_to_have_seen_none() -> None:
    text = terminal.render(judged([None] * 3), width=120)
    assert "  over the run: which of 6 rows were seen is unknown\n" in text
    assert "unexplained" not in text


def test_the_cause_keeps_the_detail_and_the_fix_fits_it() -> None:
    """GIVEN what a recorder marked THEN the report says it, and what helps there."""
    marks = [
        Mark(MarkKind.UNIDENTIFIED, "train", 0, {"reason": "rows cannot be told", "detail": "Dataset.index()"}),
        Mark(MarkKind.UNIDENTIFIED, "train", 1, {"reason": "rows cannot be told", "detail": "another"}),
        Mark(MarkKind.UNIDENTIFIED, "validation", 2, {"reason": "identify='off'"}),
        Mark(MarkKind.UNIDENTIFIED, "train", 3, {"reason": "the ids are not whole numbers"}),
    ]
    remarks = sum_remarks([read_remarks(marks, "train"), read_remarks(marks[1:2], "train")])
    assert remarks.unidentified == (
        Reason("rows cannot be told", "Dataset.index()"),
        Reason("the ids are not whole numbers", ""),
    )
    (finding,) = (f for f in judged([None] * 3, remarks=remarks).findings if f.code == "CA904")
    assert finding.cause == "rows cannot be told (Dataset.index()) and the ids are not whole numbers"
    assert finding.fix == f"{_remedy.NOT_IN_FILES[_remedy.INDEX]}; {_remedy.MEND_IDS}"


def test_without_a_reason_the_general_remedy() -> None:
    assert remedy_for([]) == remedy_for(["something else", "and more"]) == _remedy.FOLLOW


def test_data_in_no_file_needs_no_files_to_be_opened() -> None:
    """GIVEN arrays in memory THEN what is said to help does not speak of files or of `coverage-audit run`."""
    for reasons in ([], ["rows that are not in the data"], ["another"], ["x (index them once with Dataset.index())"]):
        assert "file" in remedy_for(reasons) or "open" in remedy_for(reasons)
        fix = remedy_for(reasons, in_files=False)
        assert not any(word in fix for word in ("coverage-audit run", "--data", "file", "open"))
    (finding,) = (f for f in judged([None] * 3).findings if f.code == "CA904")
    assert finding.fix == remedy_for([], in_files=False), "no time of change of any shard is in the log"


def test_where_ids_were_given_it_is_not_said_to_give_them() -> None:
    batch = (np.zeros((3, 2)), 7)
    taken: list[str] = []
    for ids in (1, 5, "id", lambda batch: batch[7], lambda _: [1], lambda _: 0.5, lambda _: [(2**40, 0)] * 3):
        answer = Explicit(ids).identify(batch)[1]
        assert isinstance(answer, Unknown)
        taken.append(remedy_for([answer.reason]))
    assert taken == [_remedy.ONE_ROW, *[_remedy.WHERE_IDS] * 3, *[_remedy.MEND_IDS] * 3]


def test_memory_that_is_written_to_while_batches_wait() -> None:
    fix = remedy_for(
        ["the loader writes into the memory of batches that the trainer has pulled and not yet trained on"]
    )
    assert fix == "yield a copy of each batch (batch.copy()), or shuffle an index in place of the data (x[order[i:j]])"


@pytest.mark.parametrize("words", [words for words, _ in BY_WORDS])
def test_reasons_with_remedies_are_still_given_by_recorders(words: str) -> None:
    folders = ("identity", "recorder", "adapters", "importers")
    sources = "".join(path.read_text() for folder in folders for path in sorted((PACKAGE / folder).glob("*.py")))
    assert words in sources


def test_the_page_names_what_helps_in_each_case() -> None:
    page = find_rule("CA904").doc
    for words in ("coverage-audit run", "--data", "wrap()", ".index()", "transform=function", "`ids=`", "--aligned"):
        assert words in page
