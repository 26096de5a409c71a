"""Loaders with a fault each, as users write them, and the loops that go wrong over right ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from loader_runs import SIZES, Anew, B, N, cut, cycle, iterate, joined, offsets, sliced, train

import coverage_audit as ca

START = offsets(SIZES)
Make = Callable[[Path, ca.Dataset], Path]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def order(random: np.random.Generator, shards: list[int] | None = None) -> list[int]:
    return [int(s) for s in random.permutation(list(range(len(SIZES))) if shards is None else shards)]


def generator(one_pass: Callable[[np.random.Generator], Iterator[Any]], steps: int, n: int = 3, **options: Any) -> Make:
    """Trained epochs over a generator that cycles."""

    def make(log: Path, data: ca.Dataset) -> Path:
        random = rng()
        return train(log, data, cycle(lambda _: one_pass(random)), steps, n, **options)

    return make


def anew(one_pass: Callable[[np.random.Generator], Iterator[Any]], n: int = 3, **options: Any) -> Make:
    """Trained epochs, each a new iteration."""

    def make(log: Path, data: ca.Dataset) -> Path:
        random = rng()
        return iterate(log, data, Anew(lambda _: one_pass(random)), n, **options)

    return make


def shuffle(random: np.random.Generator) -> Iterator[Any]:
    return cut(random.permutation(N))


def fixed(_: np.random.Generator) -> Iterator[Any]:
    return cut(np.arange(N))


def carry_over(random: np.random.Generator) -> Iterator[Any]:
    return cut(joined(SIZES, order(random)))


def slices(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random))


def without_last_rows(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random), less=1)


def from_row_100(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random), first=100)


def without_row_0(random: np.random.Generator) -> Iterator[Any]:
    return cut(1 + random.permutation(N - 1))


def ids_from_1(random: np.random.Generator) -> Iterator[Any]:
    return cut(1 + random.permutation(N))


def ids_in_shards(random: np.random.Generator) -> Iterator[Any]:
    for s in order(random):
        yield from cut(random.permutation(SIZES[s]))


def no_last_batch(random: np.random.Generator) -> Iterator[Any]:
    rows = random.permutation(3200)
    return (rows[i : i + B] for i in range(0, 3200 - B, B))


def full_batches(random: np.random.Generator) -> Iterator[Any]:
    return cut(random.permutation(N), drop=True)


def full_batches_of_shards(random: np.random.Generator) -> Iterator[Any]:
    return itertools.chain.from_iterable(cut(joined(SIZES, [s]), drop=True) for s in order(random))


def no_small_batches(random: np.random.Generator) -> Iterator[Any]:
    return (b for b in slices(random) if len(b) >= 45)


def shard_1_twice(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random, [0, 1, 1, 2, 3]))


def all_twice(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random, [0, 1, 2, 3, 0, 1, 2, 3]))


def some_rows_twice(random: np.random.Generator) -> Iterator[Any]:
    return cut(random.permutation(np.concatenate((np.arange(N), np.arange(40, 140)))))


def without_every_third_row(random: np.random.Generator) -> Iterator[Any]:
    rows = np.arange(N)
    return cut(random.permutation(rows[rows % 3 != 2]))


def shard_1_for_2(random: np.random.Generator) -> Iterator[Any]:
    return sliced(SIZES, order(random, [0, 1, 1, 3]))


def without_shard_3(random: np.random.Generator) -> Iterator[Any]:
    return cut(joined(SIZES, order(random, [0, 1, 2])))


def shard_3_doubled(random: np.random.Generator) -> Iterator[Any]:
    return cut(random.permutation(np.concatenate((np.arange(N), np.arange(START[3], N)))))


def buffer_not_emptied(random: np.random.Generator) -> Iterator[Any]:
    buffer, rows = list(range(300)), []
    for row in range(300, N):
        rows.append(buffer.pop(int(random.integers(len(buffer)))))
        buffer.append(row)
    return cut(rows)


def another_shard_missed(log: Path, data: ca.Dataset) -> Path:
    return iterate(log, data, Anew(lambda p: sliced(SIZES, [s for s in range(4) if s != p % 4])), 4)


def repeated_first(log: Path, data: ca.Dataset) -> Path:
    random = rng()
    return train(log, data, cut(np.concatenate([random.permutation(N) for _ in range(5)])), 50, 4)


def at_random(random: np.random.Generator) -> Iterator[Any]:
    return (random.integers(0, N, B) for _ in range(50))


def of_several_lengths(log: Path, data: ca.Dataset) -> Path:
    random = rng()
    return train(log, data, cycle(lambda _: shuffle(random)), [50, 25, 50, 75])


def on_3200(make: Make) -> Make:
    """Over a dataset of 50 whole batches."""
    return lambda log, _: make(log, ca.Dataset.of(3200))


def finite(log: Path, data: ca.Dataset) -> Path:
    random = rng()
    return train(log, data, itertools.chain(shuffle(random), itertools.islice(shuffle(random), 30)), 50)


def used_up(log: Path, data: ca.Dataset) -> Path:
    """The loader gives the same iterator each time."""
    batches = shuffle(rng())
    return iterate(log, data, Anew(lambda _: batches))


def begun_again(log: Path, data: ca.Dataset) -> Path:
    random = rng()
    loader = ca.wrap(Anew(lambda _: shuffle(random)), data, log, batch_size=B, ids=lambda b: b)
    for epoch in range(3):
        with loader.recorder.epoch():
            for _ in itertools.islice(loader, 20 if epoch == 1 else 50):
                loader.recorder.step()
            for _ in itertools.islice(loader, 30 if epoch == 1 else 0):
                loader.recorder.step()
    loader.recorder.close()
    return log


def breaks_too_late(log: Path, data: ca.Dataset) -> Path:
    """The batch that tells the loop to stop is lost."""
    random = rng()
    gen = ca.wrap(cycle(lambda _: shuffle(random)), data, log, batch_size=B, steps_per_epoch=50, ids=lambda b: b)
    for _ in range(3):
        with gen.recorder.epoch():
            for i, _ in enumerate(gen):
                if i >= 50:
                    break
                gen.recorder.step()
    gen.recorder.close()
    return log


def looked_at_first(log: Path, data: ca.Dataset) -> Path:
    random = rng()
    gen = ca.wrap(cycle(lambda _: shuffle(random)), data, log, batch_size=B, steps_per_epoch=50, ids=lambda b: b)
    next(gen)
    for _ in range(3):
        with gen.recorder.epoch():
            for _ in itertools.islice(gen, 50):
                gen.recorder.step()
    gen.recorder.close()
    return log
