"""Who is blamed where readers share rows, stand idle, or end their parts one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.finding import Finding, Severity
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

Order = Callable[[int, int], Sequence[int]]
"""(epoch, reader) -> the rows that this reader goes through."""
EPOCHS = 3


def batches_of(rows: Sequence[int], size: int) -> list[list[int]]:
    return [[int(i) for i in rows[at : at + size]] for at in range(0, len(rows), size)]


def by_workers(shards: Sequence[int], order: Order, *, workers: int, size: int) -> list[Finding]:
    """One rank whose loader workers take turns, passes told."""
    steps = []
    for epoch in range(EPOCHS):
        parts = [batches_of(order(epoch, w), size) for w in range(workers)]
        for turn in range(max(len(part) for part in parts)):
            steps += [
                Step(part[turn], epoch=epoch, pass_=epoch, worker=w) for w, part in enumerate(parts) if turn < len(part)
            ]
    run = Run(shards_of(*shards), steps, batch_size=size, exhausted_passes=frozenset(range(EPOCHS)))
    return list(judge(Counts(run.count().run, (run.count(),))).findings)


def by_ranks(shards: Sequence[int], order: Order, *, ranks: int, size: int) -> list[Finding]:
    """Loops of one's own: nobody tells passes."""
    counts = count_runs(
        *(
            Run(
                shards_of(*shards),
                [Step(b, epoch=e) for e in range(EPOCHS) for b in batches_of(order(e, r), size)],
                batch_size=size,
                rank=r,
                process=r + 1,
                world_size=ranks,
            )
            for r in range(ranks)
        )
    )
    return list(judge(Counts(counts.run, (counts,))).findings)


def faults(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(f.code, f.severity.value) for f in findings if f.severity is not Severity.INFO]


def shuffled(seed: Sequence[int] | int, n: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).permutation(n)]


def test_workers_that_shuffle_before_they_divide() -> None:
    """GIVEN workers with seeds of their own WHEN each takes every third row of its own order THEN that is the cause."""
    for n, size in ((100, 16), (257, 10)):
        found = by_workers([n], lambda e, w, n=n: shuffled((e, w), n)[w::3], workers=3, size=size)  # type: ignore[misc]
        assert faults(found) == [("CA403", "error")]
        assert "3 loader workers see " in found[0].message
        assert {f.code: f.claimed_by for f in found if f.severity is Severity.INFO}["CA101"] == ("CA403",)


def test_workers_that_divide_one_order_are_right() -> None:
    """Each ends its part in a partial batch; replicas in step are no buffer that is filled again."""
    assert faults(by_workers([100], lambda e, w: shuffled(e, 100)[w::3], workers=3, size=16)) == []
    replicas = by_workers([100], lambda e, w: shuffled(e, 100), workers=2, size=16)
    assert [f.code for f in replicas] == ["CA402", "CA201"]


def test_lists_of_files_that_differ() -> None:
    """GIVEN ranks that list files in different orders WHEN they take every second THEN the lists are the cause."""
    files = [range(i * 12, i * 12 + 12) for i in range(8)]

    def own_list(epoch: int, rank: int) -> list[int]:
        return [i for f in shuffled(100 + rank, 8)[rank::2] for i in np.random.default_rng(epoch).permutation(files[f])]

    found = by_ranks([12] * 8, own_list, ranks=2, size=6)
    assert found[0].code == "CA403"
    assert found[0].cause == (
        "whole shards were given to several ranks: they do not have the same list, or divide it differently"
    )


def test_ranks_that_draw_are_not_said_to_overlap() -> None:
    for seed in range(5):
        found = by_ranks(
            [100],
            lambda e, r, seed=seed: np.random.default_rng((seed, e, r)).integers(0, 100, 50).tolist(),  # type: ignore[misc]
            ranks=2,
            size=5,
        )
        assert faults(found)[0] == ("CA203", "error")


def test_an_idle_rank_costs_its_part() -> None:
    """GIVEN rows assigned to ranks WHEN one of them never steps THEN what is missed is its."""
    found = by_ranks([100], lambda e, r: shuffled(e, 100)[r::4] if r != 1 else [], ranks=4, size=5)
    assert faults(found) == [("CA407", "error")]
    assert found[0].message == "rank 1 of 4 never yielded a batch"
    shared = by_ranks([100], lambda e, r: shuffled(e, 100)[r::3] if r != 3 else [], ranks=4, size=5)
    assert ("CA407", "warning") in faults(shared)


def test_rows_that_came_twice_are_not_said_to_be_skipped() -> None:
    """The cause of CA101 is about loaders that leave rows out, not about those that give others instead."""

    def draws(epoch: int, _: int) -> list[int]:
        rows = shuffled(epoch, 100)
        return rows[:90] + rows[:10]

    (missed,) = (f for f in by_workers([100], draws, workers=1, size=10) if f.code == "CA101")
    assert missed.cause == ""
