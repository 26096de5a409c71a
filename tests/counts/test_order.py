"""The order of a pass: streamed sums against a definition over lists, however the visits are cut."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts import walk as walk_module
from coverage_audit.counts.batch_hashes import Batches
from coverage_audit.counts.order import Order, OrderTally
from coverage_audit.counts.walk import Scratch, Walk
from coverage_audit.model.rows import RowSet
from coverage_audit.testing.runs import Run, Step, shards_of

SIZES = (5, 1, 8, 6)
N = sum(SIZES)


def order_of(batches: list[list[int]], workers: list[int] | None = None, pieces: int = 1) -> Order:
    """The order of one told pass of these batches over shards of SIZES."""
    steps = [Step(ids, 0, pass_=0, worker=-1 if workers is None else workers[i]) for i, ids in enumerate(batches)]
    return Run(shards_of(*SIZES), steps, pieces=pieces).count().orders[0]


def defined(walks: list[list[int]]) -> dict[str, object]:
    """The statistics, one visit at a time."""
    shard = [s for s, n in enumerate(SIZES) for _ in range(n)]
    walks = [w for w in walks if w]
    pairs = [pair for w in walks for pair in itertools.pairwise(w)]
    apart = [(len(w) - 1, [abs(a - b) for a, b in itertools.combinations(w, 2)]) for w in walks if len(w) > 1]
    product = sum(_centred(range(len(w)), w) for w in walks)
    squares = sum(_centred(w, w) for w in walks) * sum(_centred(range(len(w)), range(len(w))) for w in walks)
    return {
        "visits": sum(map(len, walks)),
        "pairs": len(pairs),
        "consecutive": sum(b == a + 1 for a, b in pairs),
        "descents": sum(b < a for a, b in pairs),
        "gaps": sum(abs(b - a) for a, b in pairs),
        "switches": sum(shard[a] != shard[b] for a, b in pairs),
        "shards": sum(len({shard[row] for row in w}) for w in walks),
        "spread": sum(n * sum(d) / len(d) for n, d in apart) / len(pairs) if pairs else 0.0,
        "displacement": sum(abs(x - i) for i, x in enumerate(walks[0])) if len(walks) == 1 else None,
        "lead": max(x - i for i, x in enumerate(walks[0])) - min(walks[0]) if len(walks) == 1 else None,
        "extent": max(map(max, walks)) - min(map(min, walks)) + 1,
        "correlation": product / math.sqrt(squares) if squares > 0 else 0.0,
    }


def _centred(a: object, b: object) -> float:
    x, y = np.array(a, float), np.array(b, float)
    return float(((x - x.mean()) * (y - y.mean())).sum())


batches_of_rows = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(batches_of_rows, st.integers(1, 4), st.data())
def test_equals_the_definition(batches: list[list[int]], pieces: int, data: st.DataObject) -> None:
    workers = data.draw(st.lists(st.integers(0, 2), min_size=len(batches), max_size=len(batches)))
    walks: dict[int, list[int]] = {}
    for worker, batch in zip(workers, batches, strict=True):
        walks.setdefault(worker, []).extend(batch)
    order = order_of(batches, workers, pieces)
    for name, value in defined(list(walks.values())).items():
        assert getattr(order, name) == pytest.approx(value, abs=1e-9), name
    assert order == order_of(batches, workers)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 999), min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_stretches_and_cuts_change_nothing(rows: list[int], cuts: list[int]) -> None:
    """A walk cut anywhere, in stretches as short as 16 visits and with places told apart coarsely."""
    whole = Walk(1000, 1, Scratch())
    whole.add(np.array(rows), None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(walk_module, "STRETCH", 16)
        scratch = Scratch()
        short, once = Walk(1000, 1, scratch), Walk(1000, 1, scratch)
        for low, high in itertools.pairwise([0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]):
            short.add(np.array(rows[low:high], np.int64), None)
        once.add(np.array(rows), None)
    for name in set(Walk.__slots__) - {"scratch", "order_hash"}:
        assert np.array_equal(getattr(short, name), getattr(whole, name)), name
    assert short.order_hash == once.order_hash


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 999), st.integers(1, 60)), min_size=1, max_size=20), st.integers(1, 400))
def test_runs_of_consecutive_rows_are_summed_up_alike(runs: list[tuple[int, int]], cut: int) -> None:
    """The sums of a run against those of its rows, one by one; the same of visits that stay in a shard for long."""
    rows = np.concatenate([np.arange(start, min(start + n, 1000)) for start, n in runs])
    shards = (rows // 70).astype(np.int32)
    scratch = Scratch()
    walks = []
    for long in (1, 2, 1000):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(walk_module, "LONG", long)
            walk = Walk(1000, 15, scratch)
            walk.add(rows[:cut], shards[:cut])
            walk.add(rows[cut:], shards[cut:])
        walks.append(walk)
    for name in set(Walk.__slots__) - {"scratch"}:
        values = [getattr(walk, name) for walk in walks]
        assert np.array_equal(values[0], values[2]), name
        assert np.array_equal(values[1], values[2]), name


@settings(max_examples=100, deadline=None)
@given(batches_of_rows, batches_of_rows)
def test_hashes_are_equal_exactly_for_equal_orders(a: list[list[int]], b: list[list[int]]) -> None:
    one, two = order_of(a), order_of(b)
    flat_a, flat_b = list(itertools.chain(*a)), list(itertools.chain(*b))
    if len(flat_a) == len(flat_b):
        assert (one.order_hash == two.order_hash) == (flat_a == flat_b)
    assert (one.rows_hash == two.rows_hash) == (Counter(flat_a) == Counter(flat_b))
    several = [Counter(tuple(sorted(x)) for x in batches if len(x) > 1) for batches in (a, b)]
    assert (one.batches.sums == two.batches.sums) == (several[0] == several[1])
    assert (one.batches.n, one.batches.several) == (len(a), sum(several[0].values()))


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(N)), st.permutations(range(5)), st.randoms())
def test_the_same_batches_in_another_order(rows: list[int], turn: list[int], random: object) -> None:
    batches = [rows[i : i + 4] for i in range(0, N, 4)]
    again = [random.sample(batches[i], len(batches[i])) for i in turn]  # type: ignore[attr-defined]
    one, two = order_of(batches), order_of(again)
    assert one.batches == two.batches


def test_places_are_those_of_the_expected_rows() -> None:
    """Every third row is selected: reading them one after the other is consecutive."""
    shards = shards_of(10, 20, selected=RowSet.of_ids(np.arange(0, 30, 3)))
    order = Run(shards, [Step(list(range(at, at + 6, 3)), 0, pass_=0) for at in range(0, 30, 6)]).count().orders[0]
    assert (order.consecutive, order.pairs, order.lead, order.extent, order.shards, order.switches) == (
        9,
        9,
        0,
        10,
        2,
        1,
    )


def test_a_shuffle_buffer_shows_in_the_lead() -> None:
    rng = np.random.default_rng(1)
    source, buffer, out = iter(range(2000)), list(range(0)), []
    buffer = list(itertools.islice(source, 50))
    for row in source:
        at = int(rng.integers(len(buffer)))
        out.append(buffer[at])
        buffer[at] = row
    out += rng.permutation(buffer).tolist()
    order = Run(shards_of(2000), [Step(out[i : i + 20], 0, pass_=0) for i in range(0, 2000, 20)]).count().orders[0]
    assert order.lead == 49
    assert order.correlation > 0.99
    assert order.locality < 0.1


def test_one_visit_is_no_order() -> None:
    tally = OrderTally(1, 1, Scratch())
    tally.add(np.zeros(1, np.int64), None, np.array([-1], np.int32), np.array([0, 1]), 0)
    order = tally.finish(0, 0, 0, Batches())
    assert (order.visits, order.pairs, order.correlation, order.locality) == (1, 0, 0.0, 1.0)
    assert (order.z_correlation, order.share_consecutive, order.share_same_shard) == (0.0, 0.0, None)


def test_passes_have_their_own_orders() -> None:
    rows = list(range(N))
    forth, back = [rows[i : i + 4] for i in range(0, N, 4)], [rows[::-1][i : i + 4] for i in range(0, N, 4)]
    steps = [Step(b, p) for p, batches in enumerate((forth, back, forth)) for b in batches]
    orders = Run(shards_of(*SIZES), steps).count().orders
    assert [(o.pass_, o.pass_from, o.first) for o in orders] == [
        (0, "inferred", 0),
        (1, "inferred", 19),
        (2, "inferred", 0),
    ]
    assert orders[0].order_hash == orders[2].order_hash != orders[1].order_hash
    assert len({o.rows_hash for o in orders}) == 1


def test_batches_with_the_rows_of_the_one_before() -> None:
    counts = Run(
        shards_of(6), [Step([0, 1], 0), Step([1, 0], 0), Step([2, 3], 0), Step([2, 3], 1), Step([4, 5], 1)]
    ).count()
    assert [(e.aliased_batches, e.aliased.ids().tolist()) for e in counts.epochs] == [(1, [0, 1]), (1, [2, 3])]


def test_batches_of_everything_can_only_be_alike() -> None:
    counts = Run(shards_of(2), [Step([0, 1], 0), Step([1, 0], 1)]).count()
    assert [e.aliased_batches for e in counts.epochs] == [0, 0]
