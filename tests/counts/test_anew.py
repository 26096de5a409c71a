"""Epochs of several ranks that each begin the data anew, though nobody tells passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from coverage_audit.counts.anew import begin_anew
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of, source_of

Order = Callable[[int], Sequence[int]]


def shuffled(n: int) -> Order:
    return lambda epoch: [int(i) for i in np.random.default_rng(epoch).permutation(n)]


def stored(n: int) -> Order:
    return lambda epoch: range(n)


def batches_of(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def ranks_of(n: int, steps: Callable[[int], list[Step]], *, world: int, size: int) -> list[Run]:
    return [
        Run(shards_of(n), steps(rank), rank=rank, process=rank + 1, world_size=world, batch_size=size)
        for rank in range(world)
    ]


def restarting(n: int, order: Order, *, world: int, size: int, epochs: int = 3, most: int | None = None) -> list[Run]:
    """Each epoch a pass: every rank takes its part of the epoch's order, at most ``most`` batches of it."""
    return ranks_of(
        n,
        lambda r: [Step(b, epoch=e) for e in range(epochs) for b in batches_of(order(e)[r::world], size)[:most]],
        world=world,
        size=size,
    )


def running_on(n: int, order: Order, *, world: int, size: int, steps: int, epochs: int = 4) -> list[Run]:
    """Epochs of so many steps over passes that go on from one epoch to the next, partial batches kept."""

    def of_rank(rank: int) -> list[Step]:
        stream = [b for p in range(epochs + 2) for b in batches_of(order(p)[rank::world], size)]
        return [Step(b, epoch=i // steps) for i, b in enumerate(stream[: steps * epochs])]

    return ranks_of(n, of_rank, world=world, size=size)


def carried(n: int, order: Order, *, world: int, size: int, steps: int, epochs: int = 4) -> list[Run]:
    """The same, with batches filled up by the next pass."""

    def of_rank(rank: int) -> list[Step]:
        rows = [i for p in range(epochs + 2) for i in order(p)[rank::world]]
        return [Step(b, epoch=i // steps) for i, b in enumerate(batches_of(rows, size)[: steps * epochs])]

    return ranks_of(n, of_rank, world=world, size=size)


def anew(runs: list[Run]) -> bool:
    return begin_anew(source_of(*runs))


@pytest.mark.parametrize(("n", "size", "world"), [(100, 5, 2), (963, 16, 4), (42, 3, 2)])
@pytest.mark.parametrize("order", [shuffled, stored])
def test_epochs_that_begin_anew(order: Callable[[int], Order], n: int, size: int, world: int) -> None:
    assert anew(restarting(n, order(n), world=world, size=size))
    assert anew(restarting(n, order(n), world=world, size=size, most=n // world // size))
    assert anew(restarting(n, order(n), world=world, size=size, most=n // world // size // 2 + 1))


@pytest.mark.parametrize(("n", "size", "world"), [(100, 8, 2), (963, 16, 4), (63, 3, 2)])
@pytest.mark.parametrize("order", [shuffled, stored])
def test_epochs_that_go_on(order: Callable[[int], Order], n: int, size: int, world: int) -> None:
    """GIVEN passes that run on, WHEN epochs are shorter or longer than they are, THEN no epoch is called a pass."""
    needed = math.ceil(math.ceil(n / world) / size)
    for steps in (needed - 1, needed // 2, needed + 2):
        assert not anew(running_on(n, order(n), world=world, size=size, steps=steps))
    assert not anew(carried(n, order(n), world=world, size=size, steps=n // world // size))


def test_where_nothing_shows_it() -> None:
    runs = restarting(100, shuffled(100), world=2, size=5)
    assert not anew(runs[:1])
    assert not anew(restarting(100, shuffled(100), world=2, size=5, epochs=1))
    assert not anew([replace(r, without_epochs=True) for r in runs])
    assert not anew([replace(r, trained=False) for r in runs])
    assert not anew([replace(r, steps=[replace(s, pass_=s.epoch) for s in r.steps]) for r in runs])
    draws = np.random.default_rng(7).integers(0, 100, (2, 3, 10, 5)).tolist()
    drawn = [[Step(b, epoch=e) for e, batches in enumerate(rank) for b in batches] for rank in draws]
    assert not anew(ranks_of(100, lambda r: drawn[r], world=2, size=5))


def ended(counts: SplitCounts) -> list[tuple[int, int, str, str, int]]:
    return [(p.rank, p.pass_, p.pass_from, p.ended_by, p.batches) for p in counts.passes]


def test_passes_of_such_epochs() -> None:
    """The loaders ended them where a batch is smaller than the others, or where hardly anything is missed."""
    whole = [(0, 0, "told", "loader", 4), (0, 1, "told", "loader", 4)]
    others = [(1, 0, "told", "loader", 4), (1, 1, "told", "loader", 4)]
    assert ended(count_runs(*restarting(30, shuffled(30), world=2, size=4, epochs=2))) == whole + others
    dropped = count_runs(*restarting(34, shuffled(34), world=2, size=4, epochs=2, most=4))
    assert ended(dropped) == whole + others
    assert [e.missed.size for e in dropped.epochs] == [2, 2]
    cut = count_runs(*restarting(100, shuffled(100), world=2, size=4, epochs=3, most=4))
    assert [p.ended_by for p in cut.passes] == ["trainer", "trainer", ""] * 2
