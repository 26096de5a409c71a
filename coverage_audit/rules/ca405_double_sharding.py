"""The data is divided twice, so that most of it is read by nobody.

## What it looks for
Passes that the loaders themselves ended, without a row in common, that together hold 1/W of the rows (1/w within a
rank), where W is the number of ranks and w of loader workers.

## Why it matters
The loss looks normal and an epoch is short: each rank takes its part of a part. Nothing else ever says that the rest
was not read.

## How to fix it
Divide in one place only: a sampler that knows the rank over a dataset that is sharded by rank, `split_dataset_by_node`
under a trainer that splits again, a worker split inside a loader that has its own.

## When it is fine
Where one W-th is wanted, say so: `Dataset.select(rows)`, or `contract="subset"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs, ended


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs that hold one part of what their readers should have held together."""
    found = [(d, by) for d in divided_epochs(counts) if (by := _divided_by(counts, d)) is not None]
    if not found:
        return
    first, (what, n) = found[0]
    yield Evidence(
        message=f"{number(n)} {what}s together read {several(first.share.unique, 'row')}, about 1/{number(n)} of "
        f"{number(counts.expected.size)}, and none of them twice",
        cause=f"the data is divided by {what} twice",
        fix=f"divide by {what} in one place only: the dataset, the sampler or the trainer",
        epochs=tuple(d.epoch.epoch for d, _ in found),
        rows=first.epoch.missed,
        count=sum(d.epoch.missed.size for d, _ in found),
        claims=tuple(Claim(d.epoch.epoch, missed=d.epoch.missed) for d, _ in found),
        severity=Severity.INFO if counts.info.contract.kind == "subset" else None,
        numbers={"by": what, "parts": n, "rows": first.share.unique},
    )


def _divided_by(counts: SplitCounts, divided: Divided) -> tuple[str, int] | None:
    share = divided.share
    if divided.epoch.surplus or not divided.one_pass or ended(counts, divided.epoch) is None:
        return None
    workers = {len({w.worker for w in r.workers}) for r in share.ranks}
    for what, n in (("rank", len(share.ranks)), ("loader worker", workers.pop() if len(workers) == 1 else 1)):
        readers = max(n, divided.n_workers)
        if n < 2 or not _alike(divided, what):
            continue
        part = counts.expected.size / n
        # Each division rounds up or down, and a last batch may be dropped by each reader: not where one was delivered.
        delivered = any(p.partial_batches for p in counts.passes)
        dropped = readers * (1 if delivered else counts.batch_size or 1)
        if part - dropped < share.unique < part + readers and share.unique <= 0.75 * counts.expected.size:
            return what, n
    return None


def _alike(divided: Divided, what: str) -> bool:
    """Whether all readers got about equally much: what a division does, and an accident does not."""
    parts = (
        [r.unique for r in divided.share.ranks]
        if what == "rank"
        else [w.unique for r in divided.share.ranks for w in r.workers]
    )
    return max(parts) <= 2 * min(parts) or max(parts) - min(parts) <= 1


_QUARTERS = (By((0, 1), 0), By((2, 3), 1))
_FILTERED = (By((0, 1), worker=0), By((2, 3), worker=1), By((4,), worker=0))
RULE = Rule(
    code="CA405",
    name="double-sharding",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=8,
    quiet=(
        Example((4,), (_QUARTERS,), batch_size=2, exhausted=True),
        Example((8,), (_QUARTERS,), batch_size=2),
        Example((16,), (_FILTERED,), batch_size=2, exhausted=True),
    ),
    fires=(Example((8,), (_QUARTERS,), batch_size=2, exhausted=True, reported=(4, 5, 6, 7)),),
)
