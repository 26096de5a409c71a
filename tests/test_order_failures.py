"""Loaders that are wrong about order, sampling or buffers, made with the real frameworks: the cause is named first.

And loaders that are right: nothing is said. The scenarios are in order_scenarios.py, a process per framework; those of
generators over memory-mapped shards are here.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_processes import keras_environment
from loader_runs import SIZES, Anew, B, N, cut, cycle, iterate, joined, offsets, record, save_shards, train

import coverage_audit as ca
from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.finding import Severity
from coverage_audit.testing.runs import Run, Step, shards_of

SCRIPT = Path(__file__).with_name("order_scenarios.py")

FIRST_CAUSES = {
    "tf-small-buffer": ["CA303 rows are shuffled among 100 neighbours only, of 10,000 rows"],
    "tf-small-buffer-of-small-data": ["CA303 rows are shuffled among 10 neighbours only, of 300 rows"],
    "tf-shuffle-before-cache": ["CA301 all 3 passes come in the identical order"],
    "tf-not-reshuffled": ["CA301 all 3 passes come in the identical order"],
    "tf-unshuffled": ["CA302 rows come in storage order in all 3 passes"],
    "tf-batch-before-shuffle": ["CA305 each pass holds the same batches as the one before"],
    "keras-pydataset-batches-only": ["CA305 each pass holds the same batches as the one before"],
    "keras-pydataset-floor": [
        "CA103 each pass drops its last 8 rows: 1,000 mod 32 = 8",
        "CA305 each pass holds the same batches as the one before",
    ],
    "keras-generator-floor": [
        "CA601 31 steps, one pass needs ceil(1000 / 32) = 32",
        "CA603 each epoch starts one batch earlier in the pass",
    ],
    "torch-replacement": ["CA203 an epoch of 1,000 draws leaves out 38 % of 1,000 rows and repeats others"],
    "torch-weighted": ["CA203 an epoch of 1,000 draws leaves out 53 % of 1,000 rows and repeats others"],
    "torch-constant-seed": ["CA301 all 3 passes come in the identical order"],
    "torch-without-set-epoch": ["CA301 all 3 passes come in the identical order on each of 2 writers"],
    "torch-distributed-unshuffled": ["CA302 rows come in storage order in all 3 passes"],
    "torch-unshuffled": ["CA302 rows come in storage order in all 3 passes"],
}
RIGHT = [
    "tf-shuffled", "tf-half-buffer", "tf-shuffled-drop-remainder", "tf-unshuffled-validation",
    "keras-pydataset-reshuffled", "torch-set-epoch", "torch-shuffled", "torch-shuffled-long", "torch-random-sampler",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def run(framework: str) -> Path:
        folder = tmp_path_factory.mktemp(framework)
        done = subprocess.run(
            [sys.executable, str(SCRIPT), framework, str(folder)],
            env=keras_environment("tensorflow"), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


def audited(scenario: str, folder_of: Callable[[str], Path]) -> ca.AuditResult:
    folder = folder_of("torch" if scenario.startswith("torch") else "tensorflow")
    logs = [folder / f"{scenario}.parquet", folder / f"{scenario}-1.parquet"]
    return ca.audit([log for log in logs if log.exists()])


def loud(result: ca.AuditResult) -> list[str]:
    """Errors and warnings, in the order of the report."""
    return [f"{f.code} {f.message}" for f in result.findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("scenario", FIRST_CAUSES)
def test_the_cause_is_named_first(scenario: str, folder_of: Callable[[str], Path]) -> None:
    result = audited(scenario, folder_of)
    assert loud(result) == FIRST_CAUSES[scenario]
    # Rules about order warn and never fail.
    assert all(f.severity is not Severity.ERROR for f in result.findings if f.code.startswith("CA3"))


@pytest.mark.parametrize("scenario", RIGHT)
def test_right_loaders_are_left_alone(scenario: str, folder_of: Callable[[str], Path]) -> None:
    result = audited(scenario, folder_of)
    assert (result.verdict, loud(result)) == (ca.Verdict.PASS, [])


@pytest.fixture
def data(tmp_path: Path) -> ca.Dataset:
    save_shards(tmp_path / "shards", SIZES)
    return ca.Dataset.open(tmp_path / "shards/*.npy")


def shards_then_rows(random: np.random.Generator) -> Iterator[Any]:
    """X4: a file at random, then rows of it at random."""
    start = offsets(SIZES)
    while True:
        shard = int(random.integers(len(SIZES)))
        yield start[shard] + random.integers(SIZES[shard], size=B)


def windows(random: np.random.Generator) -> Iterator[Any]:
    """X5: a window of a file that begins anywhere but at its very end."""
    start = offsets(SIZES)
    while True:
        shard = int(random.integers(len(SIZES)))
        first = int(start[shard] + random.integers(0, SIZES[shard] - B))
        yield np.arange(first, first + B)


def one_buffer(rows: Iterable[int]) -> Iterator[Any]:
    """X6: every batch is the same array, filled anew."""
    buffer = np.empty(B, np.int64)
    for batch in cut(list(rows), drop=True):
        buffer[:] = batch
        yield buffer


def prefetched(loader: Iterator[Any], depth: int) -> Iterator[Any]:
    """A thread that keeps ``depth`` batches ready; each time it fills the whole queue before any is taken."""
    ready: queue.Queue[Any] = queue.Queue()

    def fill() -> None:
        for _ in range(depth):
            ready.put(next(loader, None))

    while True:
        thread = threading.Thread(target=fill)
        thread.start()
        thread.join()
        while not ready.empty():
            batch = ready.get()
            if batch is None:
                return
            yield batch.copy()


def constant_seed(_: int) -> Iterator[Any]:
    """X8: the generator is seeded inside the epoch loop."""
    return cut(np.random.default_rng(0).permutation(N))


def carried_over(random: np.random.Generator) -> Callable[[int], Iterator[Any]]:
    """X3: shards in a shuffled order, what is left of one carried over into the next batch."""
    return lambda _: cut(joined(SIZES, random.permutation(len(SIZES)).tolist()))


def test_a_file_then_its_rows(data: ca.Dataset, tmp_path: Path) -> None:
    result = ca.audit(train(tmp_path / "run.parquet", data, shards_then_rows(np.random.default_rng(1)), 50))
    first = result.findings[0]
    assert loud(result) == ["CA203 an epoch of 3,200 draws leaves out 42 % of 3,190 rows and repeats others"]
    assert first.cause == (
        "rows are drawn with replacement, and not evenly: some rows are much more likely than others"
    )
    assert result.splits[0].totals.unexplained == 0


def test_random_windows_miss_the_last_row_for_ever(data: ca.Dataset, tmp_path: Path) -> None:
    result = ca.audit(train(tmp_path / "run.parquet", data, windows(np.random.default_rng(1)), 50, 30))
    assert [line.split()[0] for line in loud(result)] == ["CA203", "CA106"]
    hole = result.findings[1]
    assert [(shard, stop) for shard, _, stop in hole.ranges if stop in SIZES] == [
        ("x_000.npy", 1000), ("x_001.npy", 937), ("x_002.npy", 1003), ("x_003.npy", 250),
    ]  # fmt: skip


def test_one_buffer_and_a_list(tmp_path: Path) -> None:
    """The whole epoch is listed before it is trained on: every batch is the last one."""
    random = np.random.default_rng(1)
    epochs = [list(one_buffer(random.permutation(N).tolist())) for _ in range(2)]
    result = ca.audit(record(tmp_path / "run.parquet", ca.Dataset.of(N), epochs, batch_size=B))
    assert loud(result)[0] == "CA204 96 of 98 batches in both epochs hold the very rows of the batch before"
    assert result.splits[0].totals.unexplained == 0


def test_one_buffer_and_a_queue(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    epochs = [prefetched(one_buffer(random.permutation(N).tolist()), 7) for _ in range(2)]
    result = ca.audit(record(tmp_path / "run.parquet", ca.Dataset.of(N), epochs, batch_size=B))
    assert loud(result)[0] == "CA204 84 of 98 batches in both epochs hold the very rows of the batch before"


def test_a_constant_seed(tmp_path: Path) -> None:
    for name, log in (
        ("generator", train(tmp_path / "a.parquet", ca.Dataset.of(N), cycle(constant_seed), 50)),
        ("anew", iterate(tmp_path / "b.parquet", ca.Dataset.of(N), Anew(constant_seed))),
    ):
        assert loud(ca.audit(log)) == ["CA301 all 3 passes come in the identical order"], name


def test_two_of_ten_passes(tmp_path: Path) -> None:
    """Pass 7 is pass 2 again."""
    seeds = [0, 1, 2, 3, 4, 5, 6, 2, 8, 9]
    epochs = [cut(np.random.default_rng(seed).permutation(N)) for seed in seeds]
    result = ca.audit(record(tmp_path / "run.parquet", ca.Dataset.of(N), epochs))
    assert loud(result) == ["CA301 2 of 10 passes come in the identical order"]


def test_shards_are_shuffled_and_never_mixed(data: ca.Dataset, tmp_path: Path) -> None:
    log = train(tmp_path / "run.parquet", data, cycle(carried_over(np.random.default_rng(1))), 50)
    assert loud(ca.audit(log)) == ["CA304 the rows of each of 4 shards come together, in storage order inside each"]


def test_shards_shuffled_inside_are_not_mixed_either(data: ca.Dataset, tmp_path: Path) -> None:
    random, start = np.random.default_rng(1), offsets(SIZES)

    def one_pass(_: int) -> Iterator[Any]:
        order = random.permutation(len(SIZES)).tolist()
        return cut(np.concatenate([start[s] + random.permutation(SIZES[s]) for s in order]))

    assert loud(ca.audit(train(tmp_path / "run.parquet", data, cycle(one_pass), 50))) == [
        "CA304 the rows of each of 4 shards come together"
    ]


def test_a_buffer_over_shuffled_shards(tmp_path: Path) -> None:
    """40 shards of 100 rows and a buffer of 60: rows of two or three shards at a time."""
    random, sizes = np.random.default_rng(1), [100] * 40
    save_shards(tmp_path / "shards", sizes)

    def one_pass(_: int) -> Iterator[Any]:
        buffer: list[int] = []
        out: list[int] = []
        for row in joined(sizes, random.permutation(40).tolist()).tolist():
            buffer.append(row)
            if len(buffer) == 30:
                out.append(buffer.pop(int(random.integers(30))))
        return cut(out + random.permutation(buffer).tolist())

    data = ca.Dataset.open(tmp_path / "shards/*.npy")
    result = ca.audit(train(tmp_path / "run.parquet", data, cycle(one_pass), 63))
    assert [f.code for f in result.findings if f.severity is not Severity.INFO] == ["CA303"]
    assert 20 <= result.findings[0].numbers["buffer"] <= 45
    assert result.findings[0].message.startswith("rows are shuffled among about ")


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_loader_that_ends_after_its_first_batches(shuffled: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(1)

    def one_pass(_: int) -> Iterator[Any]:
        rows = random.permutation(N) if shuffled else np.arange(N)
        return cut(rows[: 20 * B])

    result = ca.audit(iterate(tmp_path / "run.parquet", ca.Dataset.of(N), Anew(one_pass)))
    assert loud(result)[0] == "CA107 every pass stops after 20 batches: 1,280 of 3,190 rows"
    assert result.findings[0].cause == "the loader itself ends there and begins anew"
    assert result.splits[0].totals.unexplained == 0


def test_a_loop_that_breaks(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    loader = Anew(lambda _: cut(random.permutation(N)))
    result = ca.audit(iterate(tmp_path / "run.parquet", ca.Dataset.of(N), loader, at_most=20))
    assert loud(result)[0] == "CA107 every pass stops after 20 batches: 1,280 of 3,190 rows"
    assert result.findings[0].cause == "the loop leaves the loader there and begins it anew"


def test_declared_steps_are_not_a_truncated_pass(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    loader = Anew(lambda _: cut(random.permutation(N)))
    log = iterate(tmp_path / "run.parquet", ca.Dataset.of(N), loader, at_most=20, steps_per_epoch=20)
    assert loud(ca.audit(log)) == ["CA601 20 steps, one pass needs ceil(3190 / 64) = 50"]


@pytest.mark.parametrize("contract", [{"per": "run"}, {"per": "pass"}, "with-replacement", "subset", "at-least-once"])
def test_contracts_turn_faults_into_notes_where_they_allow_them(contract: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    draws = ([random.integers(N, size=B) for _ in range(50)] for _ in range(3))
    result = ca.audit(record(tmp_path / "run.parquet", ca.Dataset.of(N), draws, contract=contract))
    (found,) = [f for f in result.findings if f.code == "CA203"]
    allowed = contract in ("with-replacement", {"per": "run"})
    # A subset promises no row: what remains are repeats, which warn.
    others = Severity.WARNING if contract == "subset" else Severity.ERROR
    assert found.severity is (Severity.INFO if allowed else others)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 10, 16, 33])
def test_tiny_data_trips_nothing(n: int, told: bool) -> None:
    """Many passes over a few rows, each shuffled: equal orders and batches come by chance."""
    random = np.random.default_rng(n)
    for size in {1, 2, n // 2 or 1, n}:
        batches = [(p, rows) for p in range(60) for rows in cut(random.permutation(n), size)]
        steps = [Step(rows.tolist(), p, pass_=p if told else -1) for p, rows in batches]
        counts = Run(shards_of(n // 2, n - n // 2), steps, batch_size=size).count()
        result = judge(Counts(counts.run, (counts,)))
        assert [line for line in loud(result) if line.startswith(("CA2", "CA3", "CA107"))] == [], size
