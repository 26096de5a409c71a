"""Files and rows that a loader's list holds more than once, and what they took the place of."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.finding import Finding
from coverage_audit.result import AuditResult
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

SIZES, OFFSETS = (24, 16, 32), (0, 24, 40, 72)


def judged(*runs: Run) -> AuditResult:
    counts = count_runs(*runs)
    return judge(Counts(counts.run, (counts,)))


def listing(
    files: Sequence[int], more: Sequence[int] = (), *, epochs: int = 3, told: bool = True, ended: bool = True
) -> Run:
    """Each epoch goes through these files in another order, or, with ``more`` rows, through all rows shuffled."""
    steps = []
    for epoch in range(epochs):
        shuffle, order = random.Random(epoch), list(files)
        shuffle.shuffle(order)
        rows = [row for s in order for row in range(OFFSETS[s], OFFSETS[s + 1])] + list(more)
        if more:
            shuffle.shuffle(rows)
        steps += [Step(rows[i : i + 8], epoch=epoch, pass_=epoch if told else -1) for i in range(0, len(rows), 8)]
    passes = frozenset(range(epochs)) if told and ended else frozenset[int]()
    return Run(shards_of(*SIZES), steps, batch_size=8, exhausted_passes=passes)


def found(result: AuditResult, code: str) -> Finding:
    (finding,) = [f for f in result.findings if f.code == code]
    return finding


@pytest.mark.parametrize(
    ("run", "cause", "fix"),
    [
        (
            listing([0, 1, 1, 2]),
            "every row of x_1.npy comes twice in a pass",
            "see whether the loader lists x_1.npy twice, or repeats its rows",
        ),
        (
            listing([0, 1, 1, 2, 2, 2]),
            "every row of x_1.npy comes twice and every row of x_2.npy comes 3 times in a pass",
            "see whether the loader lists x_1.npy twice and x_2.npy 3 times, or repeats their rows",
        ),
        (
            listing([0, 1, 2, 0, 1, 2]),
            "every row of the data comes twice in a pass",
            "see whether the loader lists its files twice, or goes through them twice in one pass",
        ),
        (
            listing([0, 1, 2, 0, 1, 2, 0, 1, 2], told=False),
            "every row of the data comes 3 times in an epoch",
            "see whether the loader lists its files 3 times, or an epoch is 3 passes long",
        ),
        (
            listing([0, 1, 2], [3, 4, 5, 20]),
            "the same 4 rows come twice in every pass",
            "see whether the loader's list of files or of rows holds these more than once",
        ),
        (
            listing([0, 1, 2], [3, 4, 4, 4, 20]),
            "the same 3 rows come 2 to 4 times in every pass",
            "see whether the loader's list of files or of rows holds these more than once",
        ),
        (
            listing([0, 1, 2], [0]),
            "the same 1 row comes twice in every pass",
            "see whether the loader's list of files or of rows holds these more than once",
        ),
    ],
)  # fmt: skip
def test_what_is_listed_more_than_once(run: Run, cause: str, fix: str) -> None:
    finding = found(judged(run), "CA201")
    assert (finding.severity.value, finding.cause, finding.fix) == ("warning", cause, fix)


def test_repeats_that_differ_have_no_such_cause() -> None:
    """GIVEN one epoch only, or other rows in each THEN nobody's list is blamed."""
    assert found(judged(listing([0, 1, 2], [3, 4], epochs=1)), "CA201").cause == ""
    steps = [
        Step([*range(i, i + 8), *extra], epoch=e, pass_=e)
        for e in range(3)
        for i, extra in ((0, []), (8, [e]), (16, []))
    ]
    run = Run(shards_of(24), steps, exhausted_passes=frozenset(range(3)))
    assert found(judged(run), "CA201").cause == ""


def test_what_readers_do_together_is_not_in_a_list() -> None:
    """GIVEN two ranks that read the same rows THEN the ranks are blamed."""
    rows = [list(range(i, i + 8)) for i in range(0, 24, 8)]
    ranks = [
        Run(
            shards_of(24), [Step(b, epoch=e, pass_=e) for e in range(3) for b in rows],
            batch_size=8, exhausted_passes=frozenset(range(3)), rank=rank, process=rank + 1, world_size=2,
        )
        for rank in range(2)
    ]  # fmt: skip
    result = judged(*ranks)
    assert (result.findings[0].code, found(result, "CA201").cause) == ("CA401", "")


@pytest.mark.parametrize("told", [True, False])
def test_a_shard_that_took_the_place_of_another(told: bool) -> None:
    result = judged(listing([0, 1, 1], told=told, ended=False))
    first = result.findings[0]
    assert (first.code, first.message, first.cause, first.fix, first.explained, first.explains) == (
        "CA105",
        "x_2.npy never opened: 32 rows",
        "every row of x_1.npy comes twice in a pass, in the place of this shard",
        "compare the loader's list of files with the dataset's: x_1.npy stands there too often",
        144,
        ("CA101", "CA201"),
    )
    assert result.splits[0].totals.unexplained == 0


def test_two_shards_in_the_place_of_one_are_another_fault() -> None:
    result = judged(listing([0, 0, 1, 1]))
    finding = found(result, "CA105")
    assert (finding.cause, finding.explained) == ("the loader goes through its data without it", 96)
    assert result.splits[0].totals.unexplained == 120
