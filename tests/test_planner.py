"""A plan is arithmetic; here the same loader is also run batch by batch and counted by the counting engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.errors import UsageError
from coverage_audit.model.contract import Contract
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards
from coverage_audit.planner import count_plan, plan, steps_of_pass
from coverage_audit.sources.dataset import Dataset
from coverage_audit.testing.runs import Run, Step, shards_of

STORY = (1000, 937, 1003, 250)


def planned(shards: Shards, **options: Any) -> SplitCounts:
    (split,) = count_plan(shards, **options).splits
    return split


def one_pass(shards: Shards, batch_size: int, drop: bool, per_shard: bool) -> Iterator[list[int]]:
    """The loader itself, as plainly as it can be written."""
    ids = shards.expected.ids().tolist()
    cuts = shards.offsets.tolist()
    parts = [[i for i in ids if a <= i < b] for a, b in itertools.pairwise(cuts)] if per_shard else [ids]
    for part in parts:
        for at in range(0, len(part), batch_size):
            if not drop or len(part) - at >= batch_size:
                yield part[at : at + batch_size]


def simulated(
    shards: Shards, *, batch_size: int, steps: int, epochs: int, restarting: bool, drop: bool, per_shard: bool
) -> SplitCounts:
    steps_taken: list[Step] = []
    ended: set[int] = set()
    pass_ = -1
    left: list[list[int]] = []
    for epoch in range(epochs):
        if restarting:
            left = []
        for _ in range(steps):
            if not left:
                pass_ += 1
                left = list(one_pass(shards, batch_size, drop, per_shard))
            steps_taken.append(Step(left.pop(0), epoch, pass_=pass_))
            if not left:
                ended.add(pass_)
    return Run(
        shards, steps_taken, batch_size=batch_size, steps_per_epoch=steps, exhausted_passes=frozenset(ended)
    ).count()


@st.composite
def plans(draw: st.DrawFn) -> tuple[Shards, dict[str, Any]]:
    rows = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    shards = shards_of(*rows)
    if sum(rows) and draw(st.booleans()):
        shards = shards_of(*rows, selected=RowSet.of_ids(draw(st.lists(st.integers(0, sum(rows) - 1), unique=True))))
    options = {
        "batch_size": draw(st.integers(1, 9)),
        "drop": draw(st.booleans()),
        "per_shard": draw(st.booleans()),
        "restarting": draw(st.booleans()),
        "steps": draw(st.integers(1, 25)),
        "epochs": draw(st.integers(1, 4)),
    }
    return shards, options


@settings(max_examples=300, deadline=None)
@given(plans())
def test_equals_what_counting_the_same_loader_gives(case: tuple[Shards, dict[str, Any]]) -> None:
    shards, options = case
    batches = list(one_pass(shards, options["batch_size"], options["drop"], options["per_shard"]))
    asked = {
        "batch_size": options["batch_size"],
        "drop_remainder": options["drop"],
        "remainder": "per-shard" if options["per_shard"] else "global",
    }
    if not batches:
        with pytest.raises(UsageError, match=r"give no batch at all.*\[bad-plan\]"):
            planned(shards, **asked)
        return
    assert steps_of_pass(shards, **asked) == len(batches)

    counted = simulated(shards, **options)
    made = planned(
        shards,
        steps_per_epoch=options["steps"],
        epochs=options["epochs"],
        generator="restarting" if options["restarting"] else "continuous",
        **asked,
    )

    for ours, theirs in zip(made.epochs, counted.epochs, strict=True):
        assert (ours.epoch, ours.complete, ours.steps, ours.visits, ours.unique, ours.missed, ours.starts_at) == (
            theirs.epoch, theirs.complete, theirs.steps, theirs.visits, theirs.unique, theirs.missed, theirs.starts_at,
        )  # fmt: skip
        assert ours.repeated.rows == theirs.repeated.rows
        assert ours.repeated.extra.tolist() == theirs.repeated.extra.tolist()
        assert ours.spans == theirs.spans
        assert ours.needed == len(batches)
        if theirs.needed_from == "observed":
            assert ours.needed == theirs.needed
    assert made.run_visits.tolist() == counted.run_visits.tolist()
    assert made.rows_repeated == counted.rows_repeated
    assert (made.steps, made.visits, made.yields) == (counted.steps, counted.visits, counted.yields)
    assert made.batch_sizes == counted.batch_sizes
    for ours_pass, theirs_pass in zip(made.passes, counted.passes, strict=True):
        assert (ours_pass.pass_, ours_pass.first_batch, ours_pass.batches, ours_pass.visits, ours_pass.missed) == (
            theirs_pass.pass_, theirs_pass.first_batch, theirs_pass.batches, theirs_pass.visits, theirs_pass.missed,
        )  # fmt: skip
        assert (ours_pass.complete, ours_pass.ended_by) == (theirs_pass.complete, theirs_pass.ended_by)
        if counted.batch_size != made.batch_size:
            continue  # not one batch of the declared size was seen, so counting cannot know it
        assert (ours_pass.partial_batches, ours_pass.shard_end_partials, ours_pass.batches_span_shards) == (
            theirs_pass.partial_batches, theirs_pass.shard_end_partials, theirs_pass.batches_span_shards,
        )  # fmt: skip


def test_the_textbook_value_for_a_loader_that_ends_every_shard_with_a_partial_batch() -> None:
    split = planned(shards_of(*STORY), batch_size=64, steps_per_epoch=50, epochs=3, remainder="per-shard")

    assert [(e.steps, e.needed, e.visits, e.unique, len(e.missed), e.surplus) for e in split.epochs] == [
        (50, 51, 3132, 3132, 58, 0),
        (50, 51, 3126, 3126, 64, 0),
        (50, 51, 3126, 3126, 64, 0),
    ]
    assert [(e.starts_at.pass_, e.starts_at.batch) for e in split.epochs if e.starts_at] == [(0, 0), (0, 50), (1, 49)]
    assert split.shards is not None
    assert split.shards.pieces(split.epochs[0].missed) == [("x_3.npy", 192, 250)]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 50),
        ({"drop_remainder": True}, 49),
        ({"remainder": "per-shard"}, 51),
        ({"remainder": "per-shard", "drop_remainder": True}, 15 + 14 + 15 + 3),
    ],
)
def test_one_pass_is_the_default_length_of_an_epoch(options: dict[str, Any], steps: int) -> None:
    split = planned(shards_of(*STORY), batch_size=64, **options)

    assert (split.steps, split.epochs[0].needed, split.epochs[0].surplus) == (steps, steps, 0)


def test_ten_thousand_epochs_are_quick() -> None:
    before = time.perf_counter()
    split = planned(shards_of(1_000_003), batch_size=256, steps_per_epoch=3906, epochs=10_000)

    # 3907 steps a pass: one batch too few, so every epoch misses one batch.
    assert {len(e.missed) for e in split.epochs} == {256, 1_000_003 - 3906 * 256}
    assert time.perf_counter() - before < 20


def test_repeats_of_all_rows_cost_no_memory() -> None:
    split = planned(shards_of(10_000_000), batch_size=1000, steps_per_epoch=20_000)

    assert split.epochs[0].surplus == 10_000_000
    assert split.epochs[0].repeated.extra.strides == (0,)
    assert np.array_equal(np.unique(split.run_visits), [2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 is impossible: give a whole number, 1 or more"),
        ({"batch_size": 6.5}, "batch_size=6.5 is impossible: give a whole number, 1 or more"),
        ({"batch_size": True}, "batch_size=True is impossible: give a whole number, 1 or more"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0 is impossible: give a whole number, 1 or more"),
        ({"epochs": 0}, "epochs=0 is impossible: give a whole number, 1 or more"),
        ({"generator": "cycle"}, "generator='cycle' is unknown: give 'continuous' or 'restarting'"),
        ({"remainder": "shard"}, "remainder='shard' is unknown: give 'global' or 'per-shard'"),
        (
            {"batch_size": 11, "drop_remainder": True},
            "10 rows give no batch at all, no global batch of 11 is ever full: check the data, batch_size and "
            "drop_remainder",
        ),
    ],
)
def test_values_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(shards_of(10), **{"batch_size": 4, **options})

    assert str(caught.value) == f"{message} [bad-plan]"


def test_no_rows() -> None:
    with pytest.raises(UsageError, match="0 rows give no batch at all, the data is empty"):
        planned(shards_of(0), batch_size=4)


def test_too_many_rows_still_says_what_to_set() -> None:
    data = Dataset.of(10**12)

    assert steps_of_pass(data.shards, 4096) == 244_140_625
    with pytest.raises(UsageError, match=r"steps_per_epoch = 244140625 is right.*\[plan-too-large\]"):
        plan(data, batch_size=4096)


def test_too_many_passes() -> None:
    with pytest.raises(UsageError, match=r"more than 200,000 pieces.*\[plan-too-large\]"):
        planned(shards_of(3), batch_size=1, steps_per_epoch=1_000_000)


def test_what_is_no_dataset() -> None:
    with pytest.raises(UsageError, match=r"3190 is not a Dataset: use Dataset.of\(3190\)"):
        plan(3190, batch_size=4)  # type: ignore[arg-type]


def test_the_contract_is_declared() -> None:
    split = planned(shards_of(10), batch_size=4, contract={"kind": "exactly-once", "per": "run"})

    assert split.info.contract == Contract("exactly-once", "run", explicit=True)
    assert split.planned
