"""Some rows were visited more than once in an epoch.

## What it looks for
Visits beyond the first of a row in one complete epoch. It counts the surplus: a row visited three times counts two.

## Why it matters
Repeated rows weigh more than the others, and in an epoch of fixed length every repeat takes the place of a row.

## How to fix it
Read the diagnosis that explains it: an epoch longer than a pass, a drifting pass boundary, replayed batches.

## When it is fine
Under `contract="at-least-once"`, `"padded"` (repeats that fill up a batch) or `"with-replacement"`; under a contract
per run, or per pass where no pass repeats a row. Repeats as such only warn, unless exactly-once was declared by hand or
`--fail-on repeated-rows` is given.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.processes import joint_passes
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, listed, number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Surplus visits per complete epoch."""
    twice = [e for e in counts.complete_epochs if e.surplus]
    if not twice:
        return
    total = sum(e.surplus for e in twice)
    most = max(int(e.repeated.extra.max()) for e in twice) + 1
    epochs = tuple(e.epoch for e in twice)
    again = _whole_shards(counts, twice)
    yield Evidence(
        message=f"{several(total, 'surplus visit')} in {epochs_text(epochs, len(counts.complete_epochs))}, "
        f"up to {most} visits of one row in an epoch",
        cause=f"every row of {listed(again)} comes {_times(most)} in a pass" if again else "",
        fix=f"see whether the loader lists {listed(again)} {_times(most)}, or repeats its rows" if again else "",
        epochs=epochs,
        rows=twice[0].repeated.rows,
        count=total,
        claims=tuple(Claim(e.epoch, repeated=e.repeated.rows) for e in twice),
        severity=Severity.INFO if _tolerated(counts) else None,
        numbers={"repeated": total, "most_visits": most},
    )


def _tolerated(counts: SplitCounts) -> bool:
    """Whether the contract says nothing about repeats in an epoch, or allows these."""
    contract = counts.info.contract
    if contract.per == "run" or contract.tolerates_repeats or pads_only(counts):
        return True
    return contract.per == "pass" and not any(p.repeated for p in joint_passes(counts) if p.complete)


def pads_only(counts: SplitCounts) -> bool:
    """Whether the contract says that batches are padded, and no epoch repeats more than fills one up on every rank."""
    if counts.info.contract.kind != "padded" or counts.batch_size is None:
        return False
    return all(e.surplus < counts.batch_size * max(counts.run.ranks, 1) for e in counts.complete_epochs)


def _times(n: int) -> str:
    return "twice" if n == 2 else f"{number(n)} times"


def _whole_shards(counts: SplitCounts, epochs: list[EpochCount]) -> list[str]:
    """Names of shards of which each row comes equally often in every one of these epochs, while other shards do not.

    Empty where the second visits may belong to another pass.
    """
    shards, rows = counts.shards, epochs[0].repeated.rows
    if shards is None or any(
        e.repeated.rows != rows or bool((e.repeated.extra != e.repeated.extra[0]).any()) for e in epochs
    ):
        return []
    if any(p.pass_from == "unknown" for p in counts.passes):
        if len(epochs) < 2 or len(epochs) < len(counts.complete_epochs):
            return []
    elif any(sum(s.surplus for s in e.spans) < e.surplus for e in epochs):
        return []
    per_shard, whole = shards.count_per_shard(rows), shards.expected_per_shard
    hit = [i for i in range(len(shards)) if per_shard[i]]
    if any(per_shard[i] != whole[i] for i in hit) or len(hit) == sum(int(n) > 0 for n in whole):
        return []
    return [shards[i].name for i in hit]


RULE = Rule(
    code="CA201",
    name="repeated-rows",
    severity=Severity.WARNING,
    role="symptom",
    since="0.1",
    check=check,
    quiet=(Example((3,), (((0,), (1,), (2,)), ((0,), (1,), (2,)))),),
    fires=(Example((3,), (((0,), (1,), (1,), (2,)),), reported=(1,)),),
)
