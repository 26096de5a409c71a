"""The engine against a slow definition: dictionaries, one visit at a time."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.tables import EpochCount, Position
from coverage_audit.model.rows import RowSet
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

STORY = shards_of(1000, 937, 1003, 250)


def sliced_pass(sizes: list[int], batch: int, order: list[int] | None = None) -> list[list[int]]:
    """The story's loader: each shard's partial batch kept."""
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    out = []
    for s in order if order is not None else range(len(sizes)):
        for i in range(0, sizes[s], batch):
            out.append(list(range(int(offsets[s]) + i, int(offsets[s]) + min(i + batch, sizes[s]))))
    return out


def carried_pass(order: list[int], batch: int) -> list[list[int]]:
    """One partial batch per pass."""
    return [order[i : i + batch] for i in range(0, len(order), batch)]


def epochs_of(batches: list[list[int]], steps: int, epochs: int) -> list[Step]:
    return [Step(batches[e * steps + i], epoch=e) for e in range(epochs) for i in range(steps)]


def facts(epoch: EpochCount) -> tuple[int, int | None, str, int, int, int, int, Position | None]:
    return (
        epoch.steps, epoch.needed, epoch.needed_from, epoch.visits, epoch.unique, len(epoch.missed), epoch.surplus,
        epoch.starts_at,
    )  # fmt: skip


def test_the_story_with_fifty_steps() -> None:
    """GIVEN a loader that keeps each shard's partial batch, in fixed order, WHEN an epoch has 50 steps."""
    counts = Run(STORY, epochs_of(sliced_pass([1000, 937, 1003, 250], 64) * 4, 50, 3), batch_size=64).count()
    assert [facts(e) for e in counts.epochs] == [
        (50, 51, "observed", 3132, 3132, 58, 0, Position(0, 0)),
        (50, 51, "observed", 3126, 3126, 64, 0, Position(0, 50)),
        (50, 51, "observed", 3126, 3126, 64, 0, Position(1, 49)),
    ]
    assert counts.epochs[0].missed == RowSet.span(2940 + 192, 3190)
    assert [(p.batches, p.complete, p.pass_from, p.partial_batches, p.shard_end_partials) for p in counts.passes] == [
        (51, True, "inferred", 4, 4),
        (51, True, "inferred", 4, 4),
        (48, False, "inferred", 3, 3),
    ]
    assert (int(counts.run_visits.min()), int(counts.run_visits.max())) == (2, 3)


def test_one_epoch_is_projected() -> None:
    """GIVEN the carry-over loader cut after 49 of 50 steps, with one prefetched batch, one epoch."""
    batches = carried_pass(list(range(3190)), 64)
    steps = [*epochs_of(batches, 49, 1), Step(batches[49], trained=False)]
    counts = Run(STORY, steps, batch_size=64).count()
    assert [facts(e) for e in counts.epochs] == [(49, 50, "projected", 3136, 3136, 54, 0, Position(0, 0))]
    (hole,) = counts.holes
    assert (hole.first_batch, hole.batches, hole.n_rows, hole.tail) == (49, 1, 54, True)
    assert hole.rows == RowSet.span(3136, 3190)
    assert [(p.complete, p.batches, p.unique, len(p.missed)) for p in counts.passes] == [(False, 50, 3136, 54)]


def test_projection_knows_that_shards_end_in_partial_batches() -> None:
    """GIVEN 50 of the 51 batches of a pass that ends each shard with a partial batch."""
    counts = Run(STORY, epochs_of(sliced_pass([1000, 937, 1003, 250], 64), 50, 1), batch_size=64).count()
    assert [(e.needed, e.needed_from) for e in counts.epochs] == [(51, "projected")]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [49, 50, 51, 55, 120])
def test_passes_of_a_shuffling_loader_are_inferred(seed: int, steps: int) -> None:
    """GIVEN shards in another order each pass, WHEN epochs are of any length, THEN every pass has 51 batches."""
    rng = np.random.default_rng(seed)
    sizes = [1000, 937, 1003, 250]
    batches = [b for _ in range(20) for b in sliced_pass(sizes, 64, list(rng.permutation(4)))]
    epochs = min(6, len(batches) // steps)
    counts = Run(STORY, epochs_of(batches, steps, epochs), batch_size=64).count()
    whole = [p for p in counts.passes if p.complete]
    assert len(whole) == steps * epochs // 51
    assert {(p.batches, p.unique, p.repeated, len(p.missed)) for p in whole} == {(51, 3190, 0, 0)}
    for epoch in counts.epochs:
        assert epoch.starts_at == Position(epoch.epoch * steps // 51, epoch.epoch * steps % 51)


def test_one_repeat_is_not_a_boundary() -> None:
    """GIVEN four passes with one repeated row each (and one row missed)."""
    rng = np.random.default_rng(3)
    order: list[int] = []
    for _ in range(4):
        one = rng.permutation(3190)
        one[int(rng.integers(100, 3000))] = one[5]
        order += one.tolist()
    steps = [Step(order[i : i + 58], epoch=i // 3190) for i in range(0, len(order), 58)]
    counts = Run(STORY, steps, batch_size=58).count()
    assert [(p.batches, p.repeated, len(p.missed), p.mixed_batches) for p in counts.passes] == [(55, 1, 1, 0)] * 4


@pytest.mark.parametrize("workers", [2, 3, 4, 8, 16])
def test_replicating_workers_are_no_passes(workers: int) -> None:
    """GIVEN workers that each go through everything, interleaved batch by batch."""
    one = carried_pass(list(range(3190)), 64)
    steps = [Step(b, epoch=0) for b in one for _ in range(workers)]
    counts = Run(STORY, steps, batch_size=64).count()
    assert [(p.pass_from, p.complete) for p in counts.passes] == [("unknown", False)]
    assert counts.epochs[0].starts_at is None


def test_sampling_with_replacement_has_no_passes() -> None:
    draws = np.random.default_rng(0).integers(0, 3190, 3190 * 4)
    steps = [Step(draws[i : i + 64].tolist(), epoch=i // 3190) for i in range(0, len(draws), 64)]
    counts = Run(STORY, steps, batch_size=64).count()
    assert [p.pass_from for p in counts.passes] == ["unknown"]


def test_batches_that_straddle_passes_are_mixed() -> None:
    """GIVEN repeat-then-batch over 10 rows with B=4."""
    order = list(range(10)) * 4
    counts = Run(shards_of(10), [Step(order[i : i + 4], epoch=0) for i in range(0, 40, 4)], batch_size=4).count()
    assert [p.mixed_batches for p in counts.passes] == [0, 1, 0, 1]
    assert [p.unique for p in counts.passes] == [10, 10, 10, 10]
    assert counts.epochs[0].needed_from == "computed"


def test_a_padded_last_batch_is_not_mixed() -> None:
    """GIVEN a loader that fills the last batch with the pass's first rows and then begins anew."""
    one = [list(range(i, i + 4)) for i in range(0, 8, 4)] + [[8, 9, 0, 1]]
    counts = Run(shards_of(10), [Step(b, epoch=e) for e in range(4) for b in one], batch_size=4).count()
    assert [(p.mixed_batches, p.batches) for p in counts.passes[:3]] == [(0, 3)] * 3
    assert [(p.visits, p.unique, p.repeated) for p in counts.passes[:3]] == [(12, 10, 2)] * 3


def test_replays_are_consumed_twice_and_yielded_once() -> None:
    """GIVEN a finite generator whose two peeked batches Keras trains on again."""
    batches = carried_pass(list(range(40)), 4)
    steps = [
        *[Step(b, epoch=0) for b in batches],
        *[Step(batches[i], epoch=e, batch=i) for e in (1, 2) for i in (0, 1)],
    ]
    counts = Run(shards_of(40), steps, batch_size=4, exhausted=True).count()
    assert [(e.steps, e.unique, len(e.missed), e.replayed_batches) for e in counts.epochs] == [
        (10, 40, 0, 0),
        (2, 8, 32, 2),
        (2, 8, 32, 2),
    ]
    assert counts.epochs[1].replayed == RowSet.span(0, 8)
    assert (counts.yields, counts.steps) == (10, 14)
    assert [(p.batches, p.unique, p.complete) for p in counts.passes] == [(10, 40, True)]
    assert counts.run_visits[:9].tolist() == [3] * 8 + [1]


def test_a_step_with_a_batch_nobody_knows_is_a_step() -> None:
    """GIVEN a consumption that no yield can be told for (batch -1): no replay, no yield, a step of unknown rows."""
    steps = [Step([0, 1], epoch=0), Step(None, epoch=0, batch=-1), Step([2, 3], epoch=0, batch=1)]
    counts = Run(shards_of(4), steps).count()
    (epoch,) = counts.epochs
    assert (epoch.steps, epoch.visits, epoch.replayed_batches) == (3, 4, 0)
    assert (counts.yields, counts.unidentified_batches, counts.batch_sizes) == (2, 1, {2: 2})
    assert [p.batches for p in counts.passes] == [2]


def test_holes_are_no_visits() -> None:
    """GIVEN two fits, a batch lost between them."""
    batches = carried_pass(list(range(40)), 4)
    steps = [
        *[Step(b, epoch=0) for b in batches[:4]],
        Step(batches[4], trained=False),
        *[Step(b, epoch=1, fit=1) for b in batches[5:9]],
        Step(batches[9], trained=False),
    ]
    counts = Run(shards_of(40), steps, batch_size=4).count()
    assert [(h.first_batch, h.batches, h.tail, h.after_epoch, h.rows) for h in counts.holes] == [
        (4, 1, False, 0, RowSet.span(16, 20)),
        (9, 1, True, 1, RowSet.span(36, 40)),
    ]
    assert [(e.unique, e.starts_at) for e in counts.epochs] == [(16, Position(0, 0)), (16, Position(0, 5))]
    assert counts.never_seen == RowSet.of_ranges([(16, 20), (36, 40)])


def test_unknown_outside_and_unselected_rows_are_told_apart() -> None:
    data = shards_of(6, 4, selected=RowSet.span(0, 8))
    steps = [Step([0, 1, 2, -5, 10], epoch=0), Step(None, epoch=0, count=5), Step([3, 4, 5, 6, 7, 9], epoch=0)]
    counts = Run(data, steps, batch_size=5).count()
    (epoch,) = counts.epochs
    assert (epoch.visits, epoch.unique, len(epoch.missed), epoch.unidentified, epoch.outside) == (8, 8, 0, 5, 3)
    assert counts.outside_rows == ((-1, -5), (-1, 10), (1, 3))
    assert (counts.unidentified, counts.unidentified_batches, counts.outside) == (5, 1, 3)


@pytest.mark.parametrize(
    ("declared", "first", "unidentified"),
    [(5, [0, 1, 2, 3, 4], 5), (None, [0, 1, 2, 3], 4), (5, None, 10), (None, None, 2)],
    ids=["as declared", "as the others", "as declared, nothing known", "at least one each"],
)
def test_batches_of_which_not_even_the_size_is_known_prove_nothing_missed(
    declared: int | None, first: list[int] | None, unidentified: int
) -> None:
    """GIVEN a batch of an unknown number of rows THEN it is no partial one, and may have held what nobody else had."""
    steps = [Step(first, epoch=0, count=0), Step(None, epoch=0, count=0)]
    counts = Run(shards_of(10), steps, batch_size=declared).count()
    assert counts.epochs[0].unidentified == counts.unidentified == unidentified
    assert (counts.unidentified_batches, [p.partial_batches for p in counts.passes]) == (1 + (first is None), [0])
    assert set(counts.batch_sizes) == ({declared or 4} if declared or first else set())
    assert counts.yields == 2


def test_epochs_of_yields_are_steps_per_epoch_long() -> None:
    batches = carried_pass(list(range(10)), 4) * 2
    counts = Run(shards_of(10), [Step(b) for b in batches[:5]], trained=False, steps_per_epoch=3).count()
    assert (counts.counts, counts.epochs_from) == ("yielded", "steps_per_epoch")
    assert [(e.epoch, e.steps, e.complete) for e in counts.epochs] == [(0, 3, True), (1, 2, False)]


def test_epochs_of_yields_without_steps_are_passes() -> None:
    steps = [Step(b, pass_=p) for p in range(2) for b in carried_pass(list(range(10)), 4)]
    counts = Run(shards_of(10), steps, trained=False, exhausted_passes=frozenset({0, 1})).count()
    assert counts.epochs_from == "passes"
    assert [(e.epoch, e.steps, e.unique, e.complete, e.needed) for e in counts.epochs] == [
        (0, 3, 10, True, 3),
        (1, 3, 10, True, 3),
    ]
    assert [(p.pass_from, p.ended_by) for p in counts.passes] == [("told", "loader"), ("told", "loader")]


def test_ranks_are_merged_per_epoch() -> None:
    """GIVEN two ranks that split 10 rows in two epochs."""
    ranks = []
    for rank in (0, 1):
        mine = [list(range(rank, 10, 2))[i : i + 2] for i in (0, 2, 4)]
        ranks.append(Run(shards_of(10), [Step(b, epoch=e) for e in (0, 1) for b in mine], batch_size=2, rank=rank))
    counts = count_runs(*ranks)
    assert [(e.steps, e.visits, e.unique, len(e.missed), e.surplus) for e in counts.epochs] == [(3, 10, 10, 0, 0)] * 2
    assert counts.epochs[0].steps_by_rank == {0: 3, 1: 3}


def test_what_a_child_yields_nobody_trained_on() -> None:
    """GIVEN a writer that tells trained steps, and a forked child that only pulls."""
    parent = Run(shards_of(4), [Step([0, 1], epoch=0), Step([2, 3], epoch=0)])
    child = Run(shards_of(4), [Step([0, 1]), Step([2, 3])], trained=False)
    counts = count_runs(parent, child)
    assert [(e.steps, e.visits, e.surplus) for e in counts.epochs] == [(2, 4, 0)]
    assert [(h.batches, h.n_rows) for h in counts.holes] == [(2, 4)]


def test_no_dataset_counts_nothing_it_does_not_know() -> None:
    counts = Run(None, [Step([3, 4], epoch=0)]).count()
    assert (counts.steps, counts.outside, counts.epochs[0].needed_from) == (1, 2, "unknown")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_equals_the_slow_definition(data: st.DataObject) -> None:
    """Any sequence of batches, holes, replays and epochs, cut into any pieces."""
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    n = sum(sizes)
    selected = data.draw(st.none() | st.lists(st.integers(0, max(n - 1, 0)), max_size=n).map(RowSet.of_ids))
    if n == 0:
        selected = None
    shards = shards_of(*sizes, selected=selected)
    ids = st.lists(st.integers(-2, n + 2), min_size=1, max_size=5)
    steps: list[Step] = []
    epoch, number = 0, 0
    for _ in range(data.draw(st.integers(1, 25))):
        epoch += data.draw(st.integers(0, 3)) == 0
        kind = data.draw(st.sampled_from(["normal", "normal", "normal", "hole", "replay", "unknown"]))
        consumed = [s for s in steps if s.trained and s.ids is not None]
        if kind == "replay" and consumed:
            again = data.draw(st.sampled_from(consumed))
            steps.append(Step(again.ids, epoch=epoch, batch=again.batch))
            continue
        rows = None if kind == "unknown" else data.draw(ids)
        steps.append(Step(rows, epoch=epoch, trained=kind != "hole", batch=number, count=3))
        number += 1
    counts = Run(shards, steps, pieces=data.draw(st.integers(1, 5))).count()

    expected = set(shards.expected.ids().tolist())
    run: Counter[int] = Counter()
    by_epoch = {
        e: list(group) for e, group in itertools.groupby((s for s in steps if s.trained), key=lambda s: s.epoch)
    }
    assert [e.epoch for e in counts.epochs] == list(by_epoch)
    for found in counts.epochs:
        mine = by_epoch[found.epoch]
        visits = Counter(i for s in mine if s.ids is not None for i in s.ids if i in expected)
        run += visits
        assert found.steps == len(mine)
        assert found.visits == visits.total()
        assert found.unique == len(visits)
        assert found.missed == RowSet.of_ids(sorted(expected - set(visits)))
        twice = {i: k - 1 for i, k in visits.items() if k > 1}
        assert dict(zip(found.repeated.rows.ids().tolist(), found.repeated.extra.tolist(), strict=True)) == twice
        assert found.unidentified == sum(s.count for s in mine if s.ids is None)
        assert found.outside == sum(1 for s in mine if s.ids is not None for i in s.ids if i not in expected)
        replays = [s for s in mine if any(s.batch == t.batch for t in steps[: _index(steps, s)])]
        assert found.replayed_batches == len(replays)
    assert counts.run_visits.tolist() == [run[i] for i in range(n)]
    assert counts.steps == sum(s.trained for s in steps)
    assert sum(h.batches for h in counts.holes) == sum(not s.trained for s in steps)
    assert counts.never_seen == RowSet.of_ids(sorted(expected - set(run)))
    assert sum(p.visits for p in counts.passes) == _first_visits(steps, expected)


def _index(steps: list[Step], step: Step) -> int:
    return next(i for i, s in enumerate(steps) if s is step)


def _first_visits(steps: list[Step], expected: set[int]) -> int:
    """Visits of batches consumed for the first time: what passes count."""
    seen: set[int | None] = set()
    total = 0
    for step in steps:
        if step.trained and step.batch not in seen and step.ids is not None:
            total += sum(i in expected for i in step.ids)
        seen.add(step.batch)
    return total


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 9), st.integers(1, 12), st.integers(1, 6), st.booleans(), st.integers(0, 2**32)
)
def test_passes_of_a_clean_loader_are_found(
    n: int, batch: int, steps: int, epochs: int, shuffle: bool, seed: int
) -> None:
    """GIVEN every row once per pass, any sizes, THEN passes and positions are the loader's own."""
    rng = np.random.default_rng(seed)
    batches: list[list[int]] = []
    while len(batches) < steps * epochs:
        order = rng.permutation(n).tolist() if shuffle else list(range(n))
        batches += carried_pass(order, batch)
    per_pass = -(-n // batch)
    counts = Run(shards_of(n), epochs_of(batches, steps, epochs), batch_size=batch).count()
    assert [p.batches for p in counts.passes] == [
        min(per_pass, steps * epochs - i) for i in range(0, steps * epochs, per_pass)
    ]
    for epoch in counts.epochs:
        at = divmod(epoch.epoch * steps, per_pass)
        assert epoch.starts_at == Position(*at)
