"""A whole shard was never visited.

## What it looks for
Shards with expected rows of which not one was visited in the whole run.

## Why it matters
A file that a pattern, a filter or an off-by-one left out is invisible in loss curves, and often it is the one that
differs: the newest, the smallest, the last.

## How to fix it
Compare the loader's list of files with the dataset's: the pattern, `files[:-1]`, a split by `//`. If the epochs are
merely too short to reach the shard, the finding says which rule explains it.

## When it is fine
If the shard is held out on purpose, leave it out of the dataset or use `Dataset.select`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import listed, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Shards without a visit, once a complete epoch could have reached them."""
    shards = counts.shards
    if shards is None or len(shards) < 2 or not counts.visits or not counts.complete_epochs:
        return
    rows = counts.never_seen
    missed = shards.count_per_shard(rows)
    unopened = np.flatnonzero((missed == shards.expected_per_shard) & (shards.expected_per_shard > 0))
    if not len(unopened):
        return
    of_shards = RowSet.of_ranges((int(shards.offsets[i]), int(shards.offsets[i + 1])) for i in unopened) & rows
    # Only a loader that came to the end of its data passed the shard by; a short epoch may just not have reached it.
    passed_by = any(p.ended_by == "loader" for p in counts.passes)
    claims = tuple(Claim(e.epoch, missed=of_shards & e.missed) for e in counts.complete_epochs)
    names = [shards[int(i)].name for i in unopened]
    yield Evidence(
        message=f"{listed(names)} never opened: {several(of_shards.size, 'row')}"
        + ("" if len(names) == 1 else f" in {len(names)} shards"),
        cause="the loader goes through its data without it" if passed_by else "",
        fix="compare the loader's list of files with the dataset's",
        epochs=tuple(c.epoch for c in claims),
        rows=of_shards,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        late=not passed_by,
        numbers={"shards": names},
    )


RULE = Rule(
    code="CA105",
    name="unopened-shard",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=10,
    quiet=(Example((2, 2), (((0, 1), (2, 3)),)), Example((2, 2), (((0, 1), (2,)),))),
    fires=(
        Example((2, 2, 1), (((0, 1), (4,)), ((4,), (0, 1)), ((0, 1), (4,))), reported=(2, 3)),
        Example((2, 2), (((0, 1),),), reported=(2, 3)),
    ),
)
