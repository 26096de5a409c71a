"""Stories of data divided among ranks and workers, by the real samplers: the first cause, and nothing unexplained.

Each story is told as yields with passes told by iter(), and as trained epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DistributedSampler

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.contract import Contract
from coverage_audit.model.finding import Severity
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

Batch = tuple[int, list[int]]
"""(worker, rows)"""
Rank = list[list[Batch]]
"""Epochs of batches."""


class Rows:
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n


def cut(rows: Sequence[int], size: int, *, worker: int = -1, drop_last: bool = False) -> list[Batch]:
    batches = [(worker, list(rows[i : i + size])) for i in range(0, len(rows), size)]
    return [b for b in batches if not drop_last or len(b[1]) == size]


def in_turn(workers: list[list[Batch]]) -> list[Batch]:
    """The batches of several workers, one of each at a time."""
    longest = max(map(len, workers), default=0)
    return [w[i] for i in range(longest) for w in workers if i < len(w)]


def sampled(
    n: int, ranks: int, size: int, epochs: int = 3, *, set_epoch: bool = True, drop_last: bool = False,
    shuffle: bool = True, own_seed: bool = False, drop_batch: bool = False,
) -> list[Rank]:  # fmt: skip
    """torch's DistributedSampler under a DataLoader."""
    out = []
    for rank in range(ranks):
        sampler: DistributedSampler[int] = DistributedSampler(
            Rows(n),  # type: ignore[arg-type]
            ranks, rank, shuffle=shuffle, drop_last=drop_last, seed=rank if own_seed else 0,
        )  # fmt: skip
        batches = []
        for epoch in range(epochs):
            if set_epoch:
                sampler.set_epoch(epoch)
            batches.append(cut(list(sampler), size, drop_last=drop_batch))
        out.append(batches)
    return out


def even(n: int, size: int, ranks: int, *, even_batches: bool = True) -> list[Rank]:
    """accelerate's BatchSamplerShard over a sequential sampler."""
    out = []
    for rank in range(ranks):
        shard = BatchSamplerShard(BatchSampler(range(n), size, False), ranks, rank, even_batches=even_batches)
        out.append([[(-1, [int(i) for i in b]) for b in shard] for _ in range(2)])
    return out


def workers(n: int, size: int, count: int, parts: Callable[[int], Sequence[int]], **options: bool) -> list[Rank]:
    """An iterable dataset of which worker w reads ``parts(w)``."""
    one = in_turn([cut(parts(w), size, worker=w, **options) for w in range(count)])
    return [[one, one]]


def shuffled_then_sharded(n: int, ranks: int, size: int) -> list[Rank]:
    """tf.data's shuffle without a seed, then shard."""
    rng = np.random.default_rng(3)
    return [[cut(rng.permutation(n)[rank::ranks].tolist(), size) for _ in range(3)] for rank in range(ranks)]


def ranks_of(n: int, size: int, parts: list[Sequence[int]]) -> list[Rank]:
    return [[cut(part, size)] * 2 for part in parts]


def runs_of(n: int, size: int, ranks: list[Rank], *, trained: bool, contract: Contract) -> list[Run]:
    return [
        Run(
            shards_of(n),
            [
                Step(rows, epoch=e if trained else -1, worker=worker, pass_=e)
                for e, batches in enumerate(epochs)
                for worker, rows in batches
            ],
            rank=rank,
            world_size=len(ranks),
            batch_size=size,
            trained=trained,
            exhausted=True,
            exhausted_passes=frozenset(e for e, batches in enumerate(epochs) if batches),
            contract=contract,
        )
        for rank, epochs in enumerate(ranks)
    ]


def audit(n: int, size: int, ranks: list[Rank], *, trained: bool, contract: Contract | None = None) -> AuditResult:
    counts = count_runs(*runs_of(n, size, ranks, trained=trained, contract=contract or Contract()))
    return judge(Counts(counts.run, (counts,)))


def seen(result: AuditResult) -> list[str]:
    """Findings above a note, habits of order aside."""
    found = [f for f in result.findings if f.severity is not Severity.INFO]
    return [f.code for f in found if not f.code.startswith("CA3")]


WRONG: dict[str, tuple[int, int, list[Rank], list[str]]] = {
    "T1 every worker reads everything": (10, 2, workers(10, 2, 4, lambda w: range(10)), ["CA402"]),
    "T2 each worker drops its rest": (
        100, 8, workers(100, 8, 3, lambda w: range(w, 100, 3), drop_last=True), ["CA103"],
    ),
    "T2 with workers of their own stretch": (
        46, 8, workers(46, 8, 3, lambda w: range(w * 16, min(w * 16 + 16, 46)), drop_last=True), ["CA103"],
    ),
    "T4 padded": (10, 4, sampled(10, 4, 4, shuffle=False), ["CA404"]),
    "T4 padded and shuffled": (10, 4, sampled(10, 4, 4), ["CA404"]),
    "T8 dropped in one order": (10, 4, sampled(10, 4, 4, 5, set_epoch=False, drop_last=True), ["CA106"]),
    "dropped in a new order each time": (1003, 16, sampled(1003, 4, 16, drop_last=True), ["CA103"]),
    "ranks drop their last batch": (1003, 16, sampled(1003, 4, 16, drop_last=True, drop_batch=True), ["CA103"]),
    "T10 own seed": (100, 4, sampled(100, 2, 4, own_seed=True), ["CA403"]),
    "T10 own seed, 8 ranks": (4000, 16, sampled(4000, 8, 16, own_seed=True), ["CA403"]),
    "F3 shuffled, then sharded": (10, 4, shuffled_then_sharded(10, 2, 4), ["CA403"]),
    "A1 whole batches": (10, 4, even(10, 4, 2), ["CA404"]),
    "W1 no split by rank": (64, 4, ranks_of(64, 4, [range(64), range(64)]), ["CA401"]),
    "sharded twice": (64, 4, ranks_of(64, 4, [range(0, 64, 4), range(1, 64, 4)]), ["CA405"]),
    "one rank more than files": (64, 4, ranks_of(64, 4, [range(32), range(32, 64), []]), ["CA407"]),
    "uneven files": (64, 4, ranks_of(64, 4, [range(16), range(16, 64)]), ["CA406"]),
    "accelerate without even batches": (10, 4, even(10, 4, 2, even_batches=False), ["CA406"]),
}  # fmt: skip


@pytest.mark.parametrize("trained", [False, True], ids=["yielded", "trained"])
@pytest.mark.parametrize("story", WRONG, ids=str)
def test_first_causes(story: str, trained: bool) -> None:
    n, size, ranks, expected = WRONG[story]
    result = audit(n, size, ranks, trained=trained)
    (split,) = result.splits
    found = [c for c in seen(result) if c not in ("CA202", "CA606")]
    assert found[: len(expected)] == expected, [(f.code, f.severity.value, f.message) for f in result.findings]
    assert split.totals.unexplained == 0


def by_rank_and_worker(n: int, size: int, ranks: int, count: int) -> list[Rank]:
    out = []
    for rank in range(ranks):
        mine = list(range(rank, n, ranks))
        one = in_turn([cut(mine[w::count], size, worker=w) for w in range(count)])
        out.append([one, one])
    return out


RIGHT: dict[str, tuple[int, int, list[Rank]]] = {
    "DistributedSampler with set_epoch": (1000, 25, sampled(1000, 4, 25)),
    "DistributedSampler, 2 epochs": (64, 4, sampled(64, 2, 4, 2)),
    "worker-sharded iterable": (64, 4, workers(64, 4, 2, lambda w: range(w, 64, 2))),
    "worker-sharded iterable, uneven": (100, 4, workers(100, 4, 3, lambda w: range(w, 100, 3))),
    "split by node": (64, 4, ranks_of(64, 4, [range(32), range(32, 64)])),
    "ranks and workers": (96, 4, by_rank_and_worker(96, 4, 2, 3)),
    "accelerate, divisible": (64, 4, even(64, 4, 2)),
    "map-style workers": (64, 4, [[[(i % 2, r) for i, (_, r) in enumerate(cut(range(64), 4))]] * 2]),
}


@pytest.mark.parametrize("trained", [False, True], ids=["yielded", "trained"])
@pytest.mark.parametrize("story", RIGHT, ids=str)
def test_correct_loaders_are_silent(story: str, trained: bool) -> None:
    n, size, ranks = RIGHT[story]
    result = audit(n, size, ranks, trained=trained)
    assert [c for c in seen(result) if c != "CA606"] == []
    assert result.verdict is Verdict.PASS


def test_a_contract_that_names_the_padding_makes_it_a_note() -> None:
    result = audit(10, 4, even(10, 4, 2), trained=False, contract=Contract.of("padded"))
    assert {f.code: f.severity for f in result.findings}["CA404"] is Severity.INFO


@pytest.mark.parametrize(
    ("contract", "ranks", "verdict"),
    [
        ("exactly-once", sampled(64, 2, 4), Verdict.PASS),
        ("exactly-once", even(10, 4, 2), Verdict.FAIL),
        ("at-least-once", even(10, 4, 2), Verdict.PASS),
        ("at-least-once", sampled(1003, 4, 16, drop_last=True), Verdict.FAIL),
    ],
)
def test_a_contract_per_pass_is_about_all_ranks_together(contract: str, ranks: list[Rank], verdict: Verdict) -> None:
    n = 1 + max(r for rank in ranks for epoch in rank for _, rows in epoch for r in rows)
    told = Contract.of({"kind": contract, "per": "pass"})
    result = audit(n, len(ranks[0][0][0][1]), ranks, trained=False, contract=told)
    assert result.verdict is verdict, result.splits[0].gates


def test_what_is_said() -> None:
    def first(story: str) -> Iterator[str]:
        n, size, ranks, _ = WRONG[story]
        found = audit(n, size, ranks, trained=False).findings[0]
        yield from (found.message, found.cause)

    assert tuple(first("A1 whole batches")) == (
        "6 visits beyond the data at the end of each pass: 10 mod (2 · 4) = 2, filled up to 16",
        "the loader repeats rows so that all ranks get equally many full batches",
    )
    assert tuple(first("T4 padded")) == (
        "2 visits beyond the data at the end of each pass: 10 mod 4 = 2, filled up to 12",
        "the loader repeats rows so that all ranks get equally many",
    )
    assert tuple(first("T1 every worker reads everything")) == (
        "each of 4 loader workers gives all of the 10 rows that they give together",
        "every worker holds the whole data and goes through all of it",
    )
