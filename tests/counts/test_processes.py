"""What one pass takes where several processes of one rank go through the data."""

from __future__ import annotations

import pytest

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.rows import RowSet
from coverage_audit.rules._rule import find_rule
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

SHARDS = shards_of(10, 7, 9, 3)
STARTS = (0, 10, 17, 26, 29)


def batches(*shards: int) -> list[list[int]]:
    """Each shard in batches of 4, its partial batch kept: 3, 2, 3 and 1 of them."""
    return [list(range(at, min(at + 4, STARTS[s + 1]))) for s in shards for at in range(STARTS[s], STARTS[s + 1], 4)]


def counted(*passes: list[list[list[int]]], ended: bool = True) -> SplitCounts:
    """One process each, with the passes its loader tells."""
    return count_runs(
        *(
            Run(
                SHARDS,
                [Step(batch, pass_=number) for number, one in enumerate(of) for batch in one],
                trained=False,
                batch_size=4,
                exhausted_passes=frozenset(range(len(of))) if ended else frozenset(),
                process=process,
            )
            for process, of in enumerate(passes, start=1)
        )
    )


def needed(counts: SplitCounts) -> list[tuple[int, int | None, str]]:
    return [(e.steps, e.needed, e.needed_from) for e in counts.epochs]


def codes(counts: SplitCounts) -> set[str]:
    return {code for code in ("CA601", "CA602") if find_rule(code).evidence(counts)}


def test_a_pass_of_the_rank_takes_the_batches_of_all_its_processes() -> None:
    """GIVEN a pool of two that divide the shards THEN 9 steps an epoch are a pass, not 6 or 3 of them."""
    counts = counted([batches(0, 2)] * 3, [batches(1, 3)] * 3)
    assert needed(counts) == [(9, 9, "observed")] * 3
    assert [e.missed for e in counts.epochs] == [RowSet.empty()] * 3
    assert (counts.divided, codes(counts)) == (True, set())


def test_rows_that_all_processes_leave_out_are_no_part_of_a_pass() -> None:
    assert needed(counted([batches(0)[:2]], [batches(1)[:1]])) == [(3, 3, "observed")]


def test_a_process_that_goes_on_alone_leaves_the_earlier_pass_what_it_was() -> None:
    assert needed(counted([batches(0, 2)], [batches(1, 3), batches(1)])) == [(9, 9, "observed"), (2, 9, "observed")]


@pytest.mark.parametrize(
    "passes",
    [
        ([batches(0, 1, 2, 3)], [batches(0, 1, 2, 3)]),
        ([batches(0), batches(2)], [batches(1), batches(3)]),
        ([batches(0, 1)], [batches(1, 2, 3)]),
    ],
    ids=["all read everything", "a pass for each file", "rows in two of them"],
)
def test_parts_that_do_not_fit_say_nothing(passes: tuple[list[list[list[int]]], ...]) -> None:
    """Neither one process's pass nor a formula for one loader is the rank's."""
    counts = counted(*passes)
    assert {(n, where) for _, n, where in needed(counts)} == {(None, "unknown")}
    assert codes(counts) == set()


def test_what_one_process_has_still_to_visit_is_not_projected() -> None:
    counts = counted([batches(0, 2)], [batches(1, 3)], ended=False)
    assert needed(counts) == [(9, None, "unknown")]


def test_a_process_that_took_no_step_changes_nothing() -> None:
    """GIVEN a child that pulls batches nobody trains on THEN the parent's pass is the rank's."""
    parent = Run(SHARDS, [Step(b, epoch=e) for e in (0, 1) for b in batches(0, 1, 2, 3)], batch_size=4)
    child = Run(SHARDS, [Step(b) for b in batches(0)], trained=False, process=2)
    counts = count_runs(parent, child)
    assert needed(counts) == [(9, 9, "observed")] * 2
    assert counts.divided is False
