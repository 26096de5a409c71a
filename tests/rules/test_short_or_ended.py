"""Epochs shorter than the data: what is arithmetic, and what cannot be told from a loader that ends there."""

from __future__ import annotations

import random

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.finding import Finding
from coverage_audit.result import AuditResult
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of


def permuted(seed: int) -> list[int]:
    return random.Random(seed).sample(range(160), 160)


def rank(number: int, of: int, epochs: list[list[int]], *, told: bool = False, steps: int | None = None) -> Run:
    made = [
        Step(rows[i : i + 8], epoch=e, pass_=e if told else -1)
        for e, rows in enumerate(epochs)
        for i in range(0, len(rows), 8)
    ]
    return Run(
        shards_of(160), made, batch_size=8, steps_per_epoch=steps, rank=number, process=number + 1, world_size=of
    )


def judged(*runs: Run) -> AuditResult:
    counts = count_runs(*runs)
    return judge(Counts(counts.run, (counts,)))


def first(result: AuditResult) -> Finding:
    return result.findings[0]


def test_half_of_a_new_shuffle_each_time() -> None:
    """GIVEN passes nobody tells and epochs without a repeat THEN too few steps explain all that is missed."""
    halves = [permuted(e)[:80] for e in range(3)]
    result = judged(rank(0, 1, halves))
    found = first(result)
    assert (found.code, found.message, found.cause, found.fix, found.explained) == (
        "CA601",
        "10 steps cannot visit all rows, which take at least 20",
        "no row comes twice in an epoch, so all it misses is what there was no room for",
        "steps_per_epoch = 20 at least if the loop stops there; if the loader itself ends there, look at what leaves "
        "the rest out: how the data is divided, a limit, a filter",
        240,
    )
    assert (result.splits[0].totals.unexplained, result.splits[0].gates) == (0, ("missed: 240 row-epochs",))
    declared = first(judged(rank(0, 1, halves, steps=10)))
    assert (declared.fix, declared.explained) == (
        "steps_per_epoch = 20 at least, and go through the data once per pass", 240,
    )  # fmt: skip


def test_what_comes_twice_took_the_place_of_other_rows() -> None:
    """GIVEN repeats in each epoch THEN which rows there was no room for is unknown."""
    epochs = [[*permuted(e)[:78], *permuted(e)[:2]] for e in range(3)]
    found = first(judged(rank(0, 1, epochs)))
    assert (found.code, found.cause, found.explained) == ("CA601", "", 0)


def test_divided_twice_or_left_half_way() -> None:
    """GIVEN two ranks that read a quarter each and nothing that tells the loader's end THEN both readings are given."""
    quarters = [[permuted(e)[r::4] for e in range(3)] for r in range(2)]
    found = first(judged(*(rank(r, 2, quarters[r]) for r in range(2))))
    assert (found.code, found.message, found.fix, found.explained) == (
        "CA601",
        "5 steps, one pass of this loader needs 10",
        "steps_per_epoch = 10 if the loop stops there; if the loader itself ends there, look at what leaves the rest "
        "out: how the data is divided among 2 ranks, perhaps twice, a limit, a filter",
        240,
    )
    declared = first(judged(*(rank(r, 2, quarters[r], steps=5) for r in range(2))))
    assert (declared.code, declared.fix) == ("CA601", "steps_per_epoch = 10")


def test_a_stream_that_runs_on_has_no_other_reading() -> None:
    """GIVEN epochs of 10 of 20 batches of one stream THEN the loader does not end there."""
    stream = [row for e in range(3) for row in permuted(e)]
    result = judged(rank(0, 1, [stream[i : i + 80] for i in range(0, 480, 80)]))
    assert (first(result).code, first(result).fix) == ("CA601", "steps_per_epoch = 20")
