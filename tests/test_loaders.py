"""Correct loaders of many kinds, recorded for real: the auditor stays silent.

PASS, and no finding above a note. A loader that ends each shard with a partial batch is told so (CA606), one that does
not shuffle, or hardly, or shuffles shards only, is told that (CA302 - CA304), and nothing else of order: all true.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loader_runs import SIZES, Anew, B, N, cut, cycle, iterate, joined, pull, record, save_shards, sliced, train

import coverage_audit as ca
from coverage_audit.model.finding import Severity

DATA = ca.Dataset.of(N)
Way = Callable[..., Path]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def shuffled(n: int = N, size: int = B, **options: Any) -> Callable[[int], Iterator[Any]]:
    random = rng()
    return lambda _: cut(random.permutation(n), size, **options)


def order_of_shards(n: int = len(SIZES)) -> Callable[[], list[int]]:
    random = rng()
    return lambda: random.permutation(n).tolist()


def buffered(size: int) -> Callable[[int], Iterator[Any]]:
    """A shuffle buffer that is emptied at the end of the pass."""
    random = rng()

    def rows() -> Iterator[int]:
        buffer: list[int] = []
        for row in range(N):
            buffer.append(row)
            if len(buffer) == size:
                yield buffer.pop(int(random.integers(size)))
        yield from random.permutation(buffer).tolist()

    return lambda _: cut(list(rows()))


def interleaved(_: int) -> Iterator[Any]:
    """16 rows of each shard in turn."""
    shards = [[rows.tolist() for rows in cut(joined(SIZES, [s]), 16)] for s in range(len(SIZES))]
    return cut([row for turn in itertools.zip_longest(*shards, fillvalue=[]) for rows in turn for row in rows])


def bucketed(number: int) -> list[Any]:
    """Rows of like length together, at most 3000 tokens a batch: how many batches a pass has varies."""
    random = np.random.default_rng(number)
    lengths = np.random.default_rng(0).integers(1, 100, N)
    batches: list[list[int]] = [[]]
    for row in np.argsort(lengths + 20 * random.random(N)).tolist():
        if (len(batches[-1]) + 1) * max(lengths[[*batches[-1], row]]) > 3000:
            batches.append([])
        batches[-1].append(row)
    random.shuffle(batches)
    return [np.array(b) for b in batches]


def padded_with_its_head(number: int) -> Iterator[Any]:
    rows = np.random.default_rng(number).permutation(N)
    return cut(np.concatenate((rows, rows[: -N % B])))


def padded_with_its_last_row(number: int) -> Iterator[Any]:
    rows = np.random.default_rng(number).permutation(N)
    return cut(np.concatenate((rows, np.repeat(rows[-1:], -N % B))))


TINY = np.random.default_rng(1).integers(1, 9, 200).tolist()
EMPTY_ONES = [100, 0, 64, 0, 30]
WHOLE = [128, 64, 192]
EVEN = np.arange(0, N, 2)


def carried(sizes: list[int]) -> Callable[[int], Iterator[Any]]:
    order = order_of_shards(len(sizes))
    return lambda _: cut(joined(sizes, order()))


def shuffled_inside(number: int) -> Iterator[Any]:
    random = np.random.default_rng(number)
    return cut(np.concatenate([random.permutation(joined(SIZES, [int(s)])) for s in random.permutation(4)]))


def of_evens() -> Callable[[int], Iterator[Any]]:
    random = rng()
    return lambda _: cut(random.permutation(EVEN))


def with_replacement() -> Callable[[int], Iterator[Any]]:
    random = rng()
    return lambda _: (random.integers(0, N, B) for _ in range(50))


def oversampled() -> Callable[[int], Iterator[Any]]:
    random = rng()
    return lambda _: cut(random.permutation(np.concatenate((np.arange(N), np.repeat(np.arange(300), 3)))))


def advanced(batches: int, one_pass: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    generator = cycle(one_pass)
    for _ in range(batches):
        next(generator)
    return generator


def finite(passes: int, one_pass: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    return itertools.chain.from_iterable(one_pass(p) for p in range(passes))


PER_RUN = {"kind": "exactly-once", "per": "run"}
PER_PASS = {"kind": "exactly-once", "per": "pass"}
# A generator that goes on and on: (one pass, data, steps an epoch, epochs, options).
GENERATORS: dict[str, tuple[Callable[[], Iterator[Any]], ca.Dataset, int, int, dict[str, Any]]] = {
    "carry-over, shards in a fixed order": (lambda: cycle(lambda _: cut(np.arange(N))), DATA, 50, 4, {}),
    "carry-over, shards shuffled": (lambda: cycle(carried(SIZES)), DATA, 50, 4, {}),
    "shuffled over everything": (lambda: cycle(shuffled()), DATA, 50, 4, {}),
    "shuffled over everything, one epoch": (lambda: cycle(shuffled()), DATA, 50, 1, {}),
    "shuffled inside its shards": (lambda: cycle(shuffled_inside), DATA, 50, 4, {}),
    "a shuffle buffer": (lambda: cycle(buffered(300)), DATA, 50, 4, {}),
    "interleaved shards": (lambda: cycle(interleaved), DATA, 50, 4, {}),
    "batches of one row": (lambda: cycle(shuffled(37, 1)), ca.Dataset.of(37), 37, 5, {"batch_size": 1}),
    "a batch larger than the data": (lambda: cycle(shuffled(37)), ca.Dataset.of(37), 1, 5, {}),
    "one row": (lambda: cycle(shuffled(1)), ca.Dataset.of(1), 1, 5, {}),
    "one batch and one row": (lambda: cycle(shuffled(65)), ca.Dataset.of(65), 2, 5, {}),
    "no partial batch": (lambda: cycle(shuffled(3200)), ca.Dataset.of(3200), 50, 3, {}),
    "200 tiny shards, carried over": (lambda: cycle(carried(TINY)), ca.Dataset.of(sum(TINY)), 15, 3, {}),
    "advanced by a whole pass": (lambda: advanced(50, shuffled()), DATA, 50, 3, {}),
    "advanced, in a fixed order": (lambda: advanced(10, lambda _: cut(np.arange(N))), DATA, 50, 3, {}),
    "finite, as long as the training": (lambda: finite(3, shuffled()), DATA, 50, 3, {"epochs": 3}),
    "a selection": (lambda: cycle(of_evens()), DATA.select(EVEN), 25, 3, {}),
    "several passes an epoch, at least once": (lambda: cycle(shuffled()), DATA, 150, 2, {"contract": "at-least-once"}),
    "several passes an epoch, per pass": (lambda: cycle(shuffled()), DATA, 150, 2, {"contract": PER_PASS}),
    "virtual epochs, per run": (lambda: cycle(shuffled()), DATA, 7, 20, {"contract": PER_RUN}),
    "virtual epochs, per pass": (lambda: cycle(shuffled()), DATA, 7, 20, {"contract": PER_PASS}),
    "repeated before it is cut, per run": (
        lambda: cut(joined([N] * 9, range(9)) % N), DATA, 50, 6, {"contract": PER_RUN},
    ),
    "oversampled, at least once": (lambda: cycle(oversampled()), DATA, 64, 3, {"contract": "at-least-once"}),
    "drawn with replacement": (lambda: cycle(with_replacement()), DATA, 50, 3, {"contract": "with-replacement"}),
    "few draws with replacement": (lambda: cycle(with_replacement()), DATA, 20, 3, {"contract": "with-replacement"}),
    "many draws with replacement": (lambda: cycle(with_replacement()), DATA, 200, 3, {"contract": "with-replacement"}),
    "drop remainder": (lambda: cycle(shuffled(drop=True)), DATA, 49, 5, {"contract": "drop-remainder"}),
    "drop remainder, one epoch": (lambda: cycle(shuffled(drop=True)), DATA, 49, 1, {"contract": "drop-remainder"}),
    "padded with its head": (lambda: cycle(padded_with_its_head), DATA, 50, 3, {"contract": "padded"}),
    "padded with its last row": (lambda: cycle(padded_with_its_last_row), DATA, 50, 3, {"contract": "padded"}),
    "a subset": (lambda: cycle(lambda _: cut(np.arange(1280))), DATA, 20, 3, {"contract": "subset"}),
}  # fmt: skip


ORDER = {
    "carry-over, shards in a fixed order": ["CA302 rows come in storage order in all 4 passes"],
    "a shuffle buffer": ["CA303 rows are shuffled among 300 neighbours only, of 3,190 rows"],
    "interleaved shards": ["CA302 rows come in runs of about 16 neighbours, in the same order in all 4 passes"],
    "advanced, in a fixed order": ["CA302 rows come in storage order in all 3 passes"],
    "repeated before it is cut, per run": ["CA302 rows come in storage order in all 7 passes"],
    "a subset": ["CA302 rows come in storage order in all 3 passes"],
    "a list": ["CA302 rows come in storage order in all 4 passes"],
    "a list, steps declared": ["CA302 rows come in storage order in all 4 passes"],
    "drop the same remainder": ["CA302 rows come in storage order in all 4 passes"],
}


def loud(result: ca.AuditResult) -> list[str]:
    return [f"{f.code} {f.message}" for f in result.findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("way", [train, pull])
@pytest.mark.parametrize("story", GENERATORS, ids=str)
def test_generators(story: str, way: Way, tmp_path: Path) -> None:
    make, data, steps, epochs, options = GENERATORS[story]
    result = ca.audit(way(tmp_path / "run.parquet", data, make(), steps, epochs, **options))
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, ORDER.get(story, []))


@pytest.mark.parametrize("story", ["shuffled over everything", "a batch larger than the data", "batches of one row"])
def test_generators_that_declare_nothing(story: str, tmp_path: Path) -> None:
    make, data, steps, epochs, _ = GENERATORS[story]
    result = ca.audit(train(tmp_path / "run.parquet", data, make(), steps, epochs, batch_size=None))
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, [])


ANEW: dict[str, tuple[Callable[[], Any], ca.Dataset, dict[str, Any]]] = {
    "a list": (lambda: list(cut(np.arange(N))), DATA, {}),
    "a list, steps declared": (lambda: list(cut(np.arange(N))), DATA, {"steps_per_epoch": 50}),
    "shuffled": (lambda: Anew(shuffled()), DATA, {}),
    "shuffled, no batch size": (lambda: Anew(shuffled()), DATA, {"batch_size": None}),
    "bucketed by length": (lambda: Anew(bucketed), DATA, {"batch_size": None}),
    "drop remainder": (lambda: Anew(shuffled(drop=True)), DATA, {"contract": "drop-remainder"}),
    "drop the same remainder": (lambda: list(cut(np.arange(N), drop=True)), DATA, {"contract": "drop-remainder"}),
    "padded": (lambda: Anew(padded_with_its_head), DATA, {"contract": "padded"}),
    "oversampled": (lambda: Anew(oversampled()), DATA, {"contract": "at-least-once"}),
    "with replacement": (lambda: Anew(with_replacement()), DATA, {"contract": "with-replacement"}),
    "a selection": (lambda: Anew(of_evens()), DATA.select(EVEN), {}),
}


@pytest.mark.parametrize("story", ANEW, ids=str)
def test_loaders_that_begin_anew(story: str, tmp_path: Path) -> None:
    make, data, options = ANEW[story]
    result = ca.audit(iterate(tmp_path / "run.parquet", data, make(), 4, **options))
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, ORDER.get(story, []))


def test_bucketed_batches_from_a_generator(tmp_path: Path) -> None:
    """GIVEN passes of 245, 247, ... batches WHEN each epoch is one of them THEN their lengths are no fault."""
    passes = [bucketed(p) for p in range(4)]
    lengths = [len(p) for p in passes]
    assert len(set(lengths)) > 1
    log = train(tmp_path / "run.parquet", DATA, itertools.chain.from_iterable(passes), lengths, batch_size=None)
    assert (ca.audit(log).verdict, loud(ca.audit(log))) == (ca.Verdict.PASS, [])


@pytest.mark.parametrize(
    ("sizes", "steps", "partial", "order"),
    [
        (SIZES, 51, 4, "the rows of each of 4 shards come together, in storage order inside each"),
        (TINY, 200, 200, "the rows of each of 200 shards come together, in storage order inside each"),
        (EMPTY_ONES, 4, 2, "the rows of each of 3 shards come together, in storage order inside each"),
        ([1000, 3], 17, 2, "rows come in storage order in all 3 passes"),
        (WHOLE, 6, 0, "the rows of each of 3 shards come together, in storage order inside each"),
        ([64], 1, 0, "rows come in storage order in all 3 passes"),
        ([1], 1, 0, ""),
        ([40], 1, 0, "rows come in storage order in all 3 passes"),
    ],
    ids=lambda v: str(v)[:24],
)
@pytest.mark.parametrize("way", [train, pull])
def test_slices_of_memory_maps(
    sizes: list[int], steps: int, partial: int, order: str, way: Way, tmp_path: Path
) -> None:
    """The rows are read off the memory; only true partial batches, and shards that are not mixed, are remarked upon."""
    paths = save_shards(tmp_path / "shards", sizes)
    next_order = order_of_shards(len(sizes))

    def one_pass(_: int) -> Iterator[Any]:
        for s in next_order():
            x = np.load(paths[s], mmap_mode="r")
            for i in range(0, len(x), B):
                yield x[i : i + B], 0

    data = ca.Dataset.open(tmp_path / "shards/*.npy")
    result = ca.audit(way(tmp_path / "run.parquet", data, cycle(one_pass), steps, ids=None))
    remarks = [f"CA606 {partial} batches of fewer than 64 rows in a pass, each the rest of a shard"] if partial else []
    remarks += [f"{'CA304' if 'come together' in order else 'CA302'} {order}"] if order else []
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, remarks)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 70), size=st.integers(1, 70), epochs=st.integers(1, 4), told=st.booleans(), seed=st.integers(0))
def test_any_small_shuffle(
    n: int, size: int, epochs: int, told: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """GIVEN any number of rows and any batch size WHEN each epoch is one shuffle THEN there is nothing to say."""
    random = np.random.default_rng(seed)
    log = tmp_path_factory.mktemp("any") / "run.parquet"
    data = ca.Dataset.of(n)
    record(log, data, (cut(random.permutation(n), size) for _ in range(epochs)), batch_size=size if told else None)
    result = ca.audit(log)
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, [])


def test_two_splits_of_one_dataset_in_one_log(tmp_path: Path) -> None:
    """GIVEN train and validation rows of one array WHEN validation is iterated after each epoch THEN both pass."""
    rows = rng().permutation(N)
    train_rows, held_out = np.sort(rows[:2500]), np.sort(rows[2500:])
    log = tmp_path / "run.parquet"
    random = rng()
    training = ca.wrap(
        cycle(lambda _: cut(random.permutation(train_rows))), DATA.select(train_rows), log,
        batch_size=B, steps_per_epoch=40, ids=lambda b: b,
    )  # fmt: skip
    validation = ca.wrap(
        list(cut(held_out, 100)), DATA.select(held_out), log, batch_size=100, split="validation", ids=lambda b: b
    )
    for _ in range(3):
        with training.recorder.epoch():
            for _ in itertools.islice(training, 40):
                training.recorder.step()
        assert len(list(validation)) == 7
    training.recorder.close()
    validation.recorder.close()
    result = ca.audit(log)
    assert [(s.name, s.verdict) for s in result.splits] == [
        ("train", ca.Verdict.PASS), ("validation", ca.Verdict.PASS),
    ]  # fmt: skip
    assert loud(result) == []


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=6),
    size=st.sampled_from([2, 5, 16, 64]),
    off=st.sampled_from([-2, -1, 0, 1, 2]),
    n_epochs=st.integers(1, 4),
    carries=st.booleans(),
    way=st.sampled_from([train, pull]),
    seed=st.integers(0, 1000),
)
def test_any_shards_and_any_steps(
    sizes: list[int], size: int, off: int, n_epochs: int, carries: bool, way: Way, seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """GIVEN shards in a shuffled order, cut with or without carry-over WHEN the steps are those of a pass, or a few
    off THEN silence, or the steps named and everything explained by them."""
    random = np.random.default_rng(seed)
    needed = -(-sum(sizes) // size) if carries else sum(-(-n // size) for n in sizes)
    steps = max(needed + off, 1)

    def one_pass(_: int) -> Iterator[Any]:
        order = random.permutation(len(sizes)).tolist()
        return cut(joined(sizes, order), size) if carries else sliced(sizes, order, size)

    folder = tmp_path_factory.mktemp("any")
    save_shards(folder / "shards", sizes)
    data = ca.Dataset.open(folder / "shards/*.npy")
    result = ca.audit(way(folder / "run.parquet", data, cycle(one_pass), steps, n_epochs, batch_size=size))
    totals = result.splits[0].totals
    if steps == needed:
        true = ("CA302", "CA304", "CA606")  # shards are not mixed, and by chance they may come in their order
        assert (result.verdict, [f for f in loud(result) if not f.startswith(true)]) == (ca.Verdict.PASS, [])
    else:
        assert result.verdict is ca.Verdict.FAIL
        assert ("CA601" if steps < needed else "CA602") in [f.code for f in result.findings]
        assert totals.unexplained == 0
