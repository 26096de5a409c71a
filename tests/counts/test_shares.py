"""Who saw what of an epoch, against a slow definition: sets and counters, one visit at a time."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.shares import EpochShare, RankShare, WorkerShare
from coverage_audit.model.rows import RowSet
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of


def plainly(share: EpochShare) -> tuple[object, ...]:
    return (
        share.epoch, share.ranks, dict(share.by_ranks), share.of_ranks, share.of_workers, share.last,
    )  # fmt: skip


def slowly(epoch: int, runs: list[Run]) -> tuple[object, ...] | None:
    """The definition: every visit of the epoch, rank by rank."""
    ranks: dict[int, dict[tuple[int, int], list[list[int]]]] = {}
    for run in runs:
        for step in run.steps:
            if step.epoch == epoch:
                workers = ranks.setdefault(run.rank, defaultdict(list))
                workers[run.process, step.worker].append(list(step.ids or ()))
    if not ranks:
        return None
    shares, saw, twice, last = [], Counter[int](), set[int](), set[int]()
    for rank, workers in sorted(ranks.items()):
        gave = Counter(r for batches in workers.values() for r in {r for b in batches for r in b})
        twice |= {r for r, k in gave.items() if k > 1}
        saw.update(gave.keys())
        last |= {r for batches in workers.values() for r in batches[-1]}
        of_workers = tuple(
            WorkerShare(*key, len(b), sum(map(len, b)), len({r for rows in b for r in rows}), min(map(len, b)))
            for key, b in sorted(workers.items())
        )
        shares.append(
            RankShare(
                rank,
                sum(w.batches for w in of_workers),
                sum(w.visits for w in of_workers),
                len(gave),
                of_workers,
                dict(Counter(gave.values())),
            )
        )
    by_ranks = dict(Counter(saw.values()))
    of_ranks = RowSet.of_ids([r for r, k in saw.items() if k > 1])
    return epoch, tuple(shares), by_ranks, of_ranks, RowSet.of_ids(sorted(twice)), RowSet.of_ids(sorted(last))


batch = st.lists(st.integers(0, 9), min_size=1, max_size=4)
writer = st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 2), batch, st.integers(-1, 9)), max_size=8))


@settings(max_examples=150, deadline=None)
@given(st.lists(writer, min_size=2, max_size=4), st.integers(1, 3))
def test_several_writers_equal_the_definition(
    writers: list[tuple[int, list[tuple[int, list[int], int]]]], pieces: int
) -> None:
    runs = [
        Run(
            shards_of(4, 6),
            [Step(rows, epoch=e, worker=w) for e, rows, w in sorted(steps, key=lambda s: s[0])],
            rank=rank,
            process=process,
            pieces=pieces,
        )
        for process, (rank, steps) in enumerate(writers)
    ]
    counts = count_runs(*runs)
    told = {s.epoch: plainly(s) for s in counts.shares}
    assert told == {e: s for e in range(3) if (s := slowly(e, runs)) is not None}
    assert [w.unique for w in counts.writers] == [len({r for s in run.steps for r in s.ids or ()}) for run in runs]
    for share, epoch in zip(counts.shares, counts.epochs, strict=True):
        assert (share.unique, share.visits) == (epoch.unique, epoch.visits)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), batch, st.integers(0, 20)), min_size=1, max_size=30))
def test_one_writer_with_workers_equals_the_definition(steps: list[tuple[int, list[int], int]]) -> None:
    run = Run(shards_of(4, 6), [Step(rows, epoch=e, worker=w) for e, rows, w in sorted(steps, key=lambda s: s[0])])
    told = {s.epoch: plainly(s) for s in run.count().shares}
    assert told == {e: s for e in range(3) if (s := slowly(e, [run])) is not None}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), batch), min_size=1, max_size=12))
def test_one_writer_without_workers_equals_the_definition(steps: list[tuple[int, list[int]]]) -> None:
    run = Run(shards_of(4, 6), [Step(rows, epoch=e) for e, rows in sorted(steps, key=lambda s: s[0])])
    told = {s.epoch: plainly(s) for s in run.count().shares}
    assert told == {e: s for e in range(3) if (s := slowly(e, [run])) is not None}


def test_two_ranks_that_share_a_row() -> None:
    """GIVEN ten rows WHEN rank 1 reads row 0 once more at its end THEN one row is shared, in a last batch."""
    ours = Run(shards_of(9), [Step((0, 1, 2), 0), Step((3, 4), 0)], rank=0)
    theirs = Run(shards_of(9), [Step((5, 6, 7), 0), Step((8, 0), 0)], rank=1)
    (share,) = count_runs(ours, theirs).shares
    assert share == EpochShare(
        epoch=0,
        attempt=0,
        ranks=(
            RankShare(0, 2, 5, 5, (WorkerShare(1, -1, 2, 5, 5, 2),), {1: 5}),
            RankShare(1, 2, 5, 5, (WorkerShare(1, -1, 2, 5, 5, 2),), {1: 5}),
        ),
        by_ranks={1: 8, 2: 1},
        of_ranks=RowSet.of_ids([0]),
        of_workers=RowSet.empty(),
        last=RowSet.of_ids([0, 3, 4, 8]),
    )
    assert (share.shared, share.unique, share.visits) == (1, 9, 10)


def test_a_worker_that_is_named_in_the_middle_of_an_epoch_makes_it_unsaid() -> None:
    run = Run(shards_of(4), [Step((0, 1), 0), Step((2, 3), 0, worker=0, fit=1), Step((0, 1, 2, 3), 1, worker=0)])
    assert [s.epoch for s in run.count().shares] == [1]
