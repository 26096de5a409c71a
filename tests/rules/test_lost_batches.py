"""Batches yielded and never trained on, named before the short epochs they share the misses with; and not instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coverage_audit.auditor import judge
from coverage_audit.config import Gates
from coverage_audit.counts.tables import Counts
from coverage_audit.model.contract import Contract
from coverage_audit.model.finding import Severity
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.testing.runs import Run, Step, shards_of

DROPPED = (
    "a trainer pulls ahead and drops its queue when a fit() or an evaluation ends, or a loop takes a batch and leaves "
    "without training on it"
)


def endless(n: int, size: int) -> Iterator[list[int]]:
    while True:
        yield from (list(range(i, min(i + size, n))) for i in range(0, n, size))


def fits(n: int, steps: int, *, contract: Contract | None = None) -> Run:
    """Three fits of one epoch each over one generator of batches of 16; each fit loses the batch after its last."""
    batches, made = endless(n, 16), []
    for fit in range(3):
        made += [Step(next(batches), epoch=fit, fit=fit) for _ in range(steps)]
        made.append(Step(next(batches), trained=False))
    return Run(shards_of(n), made, batch_size=16, contract=contract or Contract())


def audit(made: Run, gates: Gates | None = None) -> AuditResult:
    counts = made.count()
    return judge(Counts(counts.run, (counts,)), gates)


def told(result: AuditResult) -> list[tuple[str, str, str, int]]:
    """Severity, code, message and how many row-epochs it explains, without what is said about order and notes."""
    return [
        (f.severity.value, f.code, f.message, f.explained)
        for f in result.findings
        if f.severity is not Severity.INFO and not f.code.startswith("CA3")
    ]


LOST = "2 batches yielded and never trained on, in 2 places; later batches were"


def test_fits_of_short_epochs_lose_batches_first() -> None:
    """GIVEN 4 steps of a pass of 7, three times WHEN a batch is lost between them THEN that is named before the
    steps, which are too few all the same."""
    result = audit(fits(100, 4))
    assert told(result) == [
        ("error", "CA605", LOST, 64),
        ("error", "CA601", "4 steps, one pass needs ceil(100 / 16) = 7", 68),
        ("warning", "CA603", "each epoch starts 2 batches earlier in the pass", 0),
    ]
    assert (result.findings[0].cause, result.findings[0].ranges) == (
        DROPPED,
        (("x_0.npy", 32, 48), ("x_0.npy", 64, 80)),
    )
    assert (result.verdict, result.splits[0].gates) == (Verdict.FAIL, ("missed: 132 row-epochs",))


def test_the_last_batch_of_each_pass_is_lost_not_left_out() -> None:
    """GIVEN a pass of 5 batches of which the fifth is lost each time THEN nobody says that the loader drops it."""
    result = audit(fits(80, 4))
    assert told(result) == [
        ("error", "CA605", LOST, 32),
        ("error", "CA601", "4 steps, one pass needs ceil(80 / 16) = 5", 16),
    ]
    assert result.findings[1].cause == "an epoch ends after 4 of the 5 batches of a pass"
    assert "CA103" not in [f.code for f in result.findings]


def test_lost_batches_that_nothing_is_missed_for_are_a_cost() -> None:
    """GIVEN epochs as long as a pass, in a fixed order THEN each holds every row, whatever was lost between them."""
    result = audit(fits(96, 6))
    assert told(result) == [
        ("warning", "CA605", LOST, 0),
        ("warning", "CA603", "each epoch starts one batch later in the pass", 0),
    ]
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("gates", "contract", "expected"),
    [
        (Gates(max_missed=132), None, "warning"),
        (Gates(warn_on=("missed",)), None, "warning"),
        (Gates(warn_on=("CA605",)), None, "warning"),
        (None, Contract.of("subset"), "warning"),
        (None, Contract.of({"per": "run"}), "info"),
    ],
)
def test_where_misses_are_allowed_it_is_a_cost(gates: Gates | None, contract: Contract | None, expected: str) -> None:
    result = audit(fits(100, 4, contract=contract), gates)
    assert [f.severity.value for f in result.findings if f.code == "CA605" and f.message == LOST] == [expected]


def test_a_loop_that_leaves_and_begins_anew_is_cut_by_its_break() -> None:
    """GIVEN a new iteration each epoch, left at the fifth of ten batches, which was taken and not trained on THEN the
    break explains what is missed, the lost batch included."""
    one = [list(range(i, i + 4)) for i in range(0, 40, 4)]
    steps = []
    for epoch in range(3):
        steps += [Step(b, epoch=epoch, pass_=epoch) for b in one[:4]]
        steps.append(Step(one[4], pass_=epoch, trained=False))
    result = audit(Run(shards_of(40), steps, batch_size=4))
    assert told(result)[0] == ("error", "CA601", "4 steps, one pass needs ceil(40 / 4) = 10", 72)
    assert next((f.severity.value, f.explained) for f in result.findings if f.code == "CA605") == ("warning", 0)
