"""Results to report on, counted naively from batches that are written down here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from coverage_audit.counts.tables import EpochCount, PassCount, Position, Span, SplitCounts
from coverage_audit.model.contract import Contract
from coverage_audit.model.finding import Finding, Severity
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.model.run import RunInfo, SplitInfo, Writer, WriterEnd
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.result import AuditResult, SplitResult, Totals, Verdict

STORY = (("x_0.npy", 1000), ("x_1.npy", 937), ("x_2.npy", 1003), ("x_3.npy", 250))


def shards_of(*items: tuple[str, int]) -> Shards:
    return Shards(tuple(Shard(name, rows, bytes=rows * 8 + 128) for name, rows in items))


def slices(shards: Shards, size: int) -> list[range]:
    """One pass: each shard cut into batches of ``size``, its partial batch kept."""
    out = []
    for low, high in zip(shards.offsets[:-1].tolist(), shards.offsets[1:].tolist(), strict=True):
        out += [range(at, min(at + size, high)) for at in range(low, high, size)]
    return out


def run_info(log: str = "run.parquet", ranks: int = 1, state: str = "closed") -> RunInfo:
    writers = tuple(WriterEnd(Writer(0, rank, 1, ranks), state) for rank in range(ranks))
    return RunInfo(log, "r-1", writers)


def counted(
    shards: Shards | None,
    one_pass: Sequence[Sequence[int]],
    steps: int,
    epochs: int,
    *,
    last: int | None = None,
    needed_from: str = "observed",
    **more: Any,
) -> SplitCounts:
    """A generator that repeats ``one_pass`` for ever, trained for ``epochs`` epochs of ``steps`` steps.

    ``last``: steps of the last epoch, which is then not complete.
    """
    n = 0 if shards is None else shards.n_ids
    run = np.zeros(n, np.uint32)
    lines = []
    at = 0
    for epoch in range(epochs):
        taken = last if last is not None and epoch == epochs - 1 else steps
        visits = np.zeros(n, np.int64)
        spans: list[Span] = []
        seen = 0
        for step in range(at, at + taken):
            rows = np.asarray(one_pass[step % len(one_pass)], np.int64)
            number = step // len(one_pass)
            seen += len(rows)
            if shards is not None:
                np.add.at(visits, rows, 1)
            before = spans.pop() if spans and spans[-1].pass_ == number else Span(0, number, 0, RowSet.empty())
            spans.append(Span(0, number, before.batches + 1, before.rows | RowSet.of_ids(rows)))
        run += visits.astype(np.uint32)
        expected = RowSet.empty() if shards is None else shards.expected
        lines.append(
            EpochCount(
                epoch=epoch, fit=0, number=epoch, complete=taken == steps, steps=taken, visits=seen,
                unique=int(np.count_nonzero(visits)), missed=expected - RowSet.of_mask(visits > 0),
                repeated=Repeats.of_counts(visits), needed=len(one_pass), needed_from=needed_from, batch_size=64,
                starts_at=Position(at // len(one_pass), at % len(one_pass)), spans=tuple(spans),
                steps_by_rank={0: taken},
            )
        )  # fmt: skip
        at += taken
    passes = [
        PassCount(
            rank=0, pass_=number, pass_from="inferred", complete=whole, ended_by="loader" if whole else "",
            first_batch=number * len(one_pass), batches=len(batches), visits=sum(map(len, batches)),
            unique=sum(map(len, batches)), repeated=0,
            missed=(RowSet.empty() if shards is None else shards.expected)
            - RowSet.of_ids([i for b in batches for i in b]),
            partial_batches=sum(len(b) < 64 for b in batches), shard_end_partials=sum(len(b) < 64 for b in batches),
        )
        for number in range(-(-at // len(one_pass)))
        for batches in [list(one_pass)[: at - number * len(one_pass)]]
        for whole in [len(batches) == len(one_pass)]
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "split": "train", "run": run_info(), "info": SplitInfo("train", batch_size=64, steps_per_epoch=steps),
        "counts": "trained", "epochs_from": "trainer", "holes": (), "batch_sizes": {64: at}, "batch_size": 64,
        "found": {"view": int(run.sum())}, "unidentified": 0, "unidentified_batches": 0, "outside": 0,
    }  # fmt: skip
    return SplitCounts(
        shards=shards, epochs=tuple(lines), passes=tuple(passes), steps=at, visits=sum(e.visits for e in lines),
        yields=at, run_visits=run, rows_repeated=RowSet.empty(), **{**facts, **more},
    )  # fmt: skip


def judged(
    counts: SplitCounts, verdict: Verdict = Verdict.PASS, gates: tuple[str, ...] = (), explained: int = 0
) -> SplitResult:
    whole = counts.complete_epochs
    missed, repeated = sum(len(e.missed) for e in whole), sum(e.surplus for e in whole)
    never = len(counts.never_seen)
    totals = Totals(
        epochs=len(counts.epochs), steps=counts.steps, visits=counts.visits,
        rows_seen=len(counts.expected) - never, rows_never_seen=never, rows_repeated=len(counts.rows_repeated),
        missed=missed, repeated=repeated, explained=explained, unexplained=missed + repeated - explained,
        unidentified=counts.unidentified, untrained_batches=0,
    )  # fmt: skip
    return SplitResult(counts, verdict, totals, gates)


def finding(code: str, name: str, severity: Severity, message: str, **more: Any) -> Finding:
    facts: dict[str, Any] = {
        "split": "train", "epochs": (), "cause": "", "fix": "", "rows": 0, "ranges": (), "truncated": False,
    }  # fmt: skip
    return Finding(code=code, name=name, severity=severity, message=message, **{**facts, **more})


def short_epochs() -> AuditResult:
    """The story of product.md: 50 steps an epoch where a pass takes 51, shards in fixed order."""
    shards = shards_of(*STORY)
    counts = counted(shards, slices(shards, 64), 50, 3)
    short = finding(
        "CA601", "short-epoch", Severity.ERROR, "50 steps, one pass of this loader needs 51",
        cause="ceil(3190 / 64) = 50 is right for a loader that fills every batch; this one ends each shard with a "
        "partial batch (CA606), so a pass takes ceil(n / 64) per shard: 16 + 15 + 16 + 4 = 51",
        fix="steps_per_epoch = 51, or carry the rest of a shard over into the next batch",
        epochs=(0, 1, 2), rows=186, ranges=(("x_3.npy", 192, 250),), explains=("CA101",), explained=186,
    )  # fmt: skip
    drift = finding(
        "CA603", "drifting-epochs", Severity.WARNING, "each epoch starts one batch earlier in the pass",
        epochs=(1, 2),
    )  # fmt: skip
    symptom = finding(
        "CA101", "missed-rows", Severity.INFO, "186 missed row-epochs in 3 of 3 epochs", rows=186, epochs=(0, 1, 2),
        ranges=(("x_3.npy", 192, 250),), claimed_by=("CA601",),
    )  # fmt: skip
    split = judged(counts, Verdict.FAIL, ("186 missed row-epochs, 0 are allowed",), explained=186)
    return AuditResult(run_info(), (split,), (short, drift, symptom))


def clean(epochs: int = 3, **more: Any) -> AuditResult:
    """51 steps an epoch: every row exactly once."""
    shards = shards_of(*STORY)
    return AuditResult(run_info(), (judged(counted(shards, slices(shards, 64), 51, epochs, **more)),), ())


def with_contract(kind: str, per: str) -> SplitInfo:
    return SplitInfo("train", contract=Contract.of({"kind": kind, "per": per}))
