"""Every loader worker reads everything.

## What it looks for
Complete epochs in which each of a rank's several loader workers gives (nearly) all the rows that they give together: an
iterable dataset of which every worker holds a full copy.

## Why it matters
With w workers every row comes w times in a pass: an epoch is w epochs, and one that is cut short holds some rows w
times and others never.

## How to fix it
Let the dataset give each worker its part: by `torch.utils.data.get_worker_info()`, `wds.split_by_worker`, or one shard
of the files for each. Or use one worker.

## When it is fine
Where each worker draws its own augmentation of every row on purpose: declare `contract="at-least-once"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.shares import RankShare
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs, everything


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs in which no worker of some rank lacks what another one has."""
    found = [(d, ranks) for d in divided_epochs(counts) if (ranks := _replicated(d))]
    if not found:
        return
    first, ranks = found[0]
    n = len(ranks[0].workers)
    claims = tuple(
        Claim(
            d.epoch.epoch,
            d.epoch.missed if d.epoch.visits >= counts.expected.size else d.epoch.missed & d.epoch.repeated.rows,
            d.epoch.repeated.rows & d.share.of_workers,
        )
        for d, _ in found
    )
    of_all, n_ranks = len(first.share.ranks), len(ranks)
    who = "" if of_all == 1 else " of every rank" if n_ranks == of_all else f" of {several(n_ranks, 'rank')}"
    yield Evidence(
        message=f"each of {number(n)} loader workers{who} gives all of the "
        f"{several(max(r.unique for r in ranks), 'row')} that they give together",
        cause="every worker holds the whole data and goes through all of it",
        fix="give each worker its part: get_worker_info() in the dataset, split_by_worker, or files of its own",
        epochs=tuple(d.epoch.epoch for d, _ in found),
        rows=first.share.of_workers,
        count=sum(r.shared for _, some in found for r in some),
        claims=claims,
        severity=Severity.INFO if counts.info.contract.kind == "at-least-once" else None,
        numbers={"workers": n},
    )


def _replicated(divided: Divided) -> list[RankShare]:
    """The ranks each of whose workers went through all of that rank's rows."""
    return [r for r in divided.share.ranks if replicating(r, divided.passes)]


def replicating(rank: RankShare, passes: int = 1) -> bool:
    """Whether each of the rank's workers went through all of its rows."""
    n = len(rank.workers)
    return n > 1 and all(everything(w.unique, rank.unique, n, passes) for w in rank.workers)


_BOTH = tuple(By(rows, worker=worker) for rows in ((0, 1), (2, 3)) for worker in (0, 1))
_HALVES = (By((0, 1), worker=0), By((2, 3), worker=1))
RULE = Rule(
    code="CA402",
    name="replicated-workers",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=6,
    quiet=(Example((4,), (_HALVES, _HALVES)), Example((4,), ((By((0, 1), worker=0), By((2, 3), worker=0)),))),
    fires=(Example((4,), (_BOTH,), reported=(0, 1, 2, 3)),),
)
