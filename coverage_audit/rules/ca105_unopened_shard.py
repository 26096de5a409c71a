"""A whole shard was never visited.

## What it looks for
Shards with expected rows of which not one was visited in the whole run, or in a pass that the loader itself ended. If
the visits are those of ids that begin anew with each shard, it says so instead. If as many shards come twice as are
never opened, they stand in the list in their place.

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

from coverage_audit.counts.alignment import ends_by_itself
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._duplicates import Duplicates, duplicates
from coverage_audit.rules._rule import Example, Rule
from coverage_audit.rules.ca103_dropped_remainder import drops_remainder
from coverage_audit.rules.ca104_dropped_shard_tail import may_drop_tails

LONG_ENOUGH = 0.1
"""An epoch of enough steps that misses at most this share of the other rows passed the shard by."""


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Shards without a visit, once a complete epoch could have reached them; then shards whole passes go without."""
    shards = counts.shards
    if shards is None or len(shards) < 2 or not counts.visits or not counts.complete_epochs:
        return
    rows = counts.never_seen
    missed = shards.count_per_shard(rows)
    unopened = np.flatnonzero((missed == shards.expected_per_shard) & (shards.expected_per_shard > 0))
    per_shard = any(ends_by_itself(p) for p in counts.passes) and may_drop_tails(counts)
    if counts.batch_size is not None and (per_shard or drops_remainder(counts)):
        # A shard smaller than a batch may be nothing but dropped rest.
        unopened = unopened[shards.expected_per_shard[unopened] >= counts.batch_size]
    of_shards = _ids(shards, unopened) & rows
    if rows and rows.size <= counts.unidentified:  # they may have been in batches nobody could identify
        return
    if len(unopened) and _ids_restart(counts, shards):
        yield _restarting(counts, shards, of_shards)
        return
    if len(unopened):
        yield _unopened(counts, [shards[int(i)].name for i in unopened], of_shards)
    yield from _skipped(counts, shards, rows)


def _ids(shards: Shards, which: np.ndarray[tuple[int], np.dtype[np.intp]]) -> RowSet:
    return RowSet.of_ranges((int(shards.offsets[i]), int(shards.offsets[i + 1])) for i in which)


def _unopened(counts: SplitCounts, names: list[str], rows: RowSet) -> Evidence:
    # A loader that came to the end of its data, or had steps enough to, passed the shard by; a short epoch may just not
    # have reached it.
    ended = any(p.ended_by == "loader" for p in counts.passes)
    n = counts.expected.size
    per_step = 0 if counts.batch_size is None else counts.batch_size * max(counts.run.ranks, 1)
    enough = all(
        max(e.visits, e.steps * per_step) >= n
        and (e.needed is None or e.steps >= e.needed)
        and (e.missed - rows).size <= LONG_ENOUGH * n
        for e in counts.complete_epochs
    )
    again = _instead(counts, len(names))
    instead = RowSet.empty() if again is None else again.rows
    claims = tuple(Claim(e.epoch, rows & e.missed, instead & e.repeated.rows) for e in counts.complete_epochs)
    one = len(names) == 1
    return Evidence(
        message=f"{listed(names)} never opened: {several(rows.size, 'row')}"
        + ("" if len(names) == 1 else f" in {number(len(names))} shards"),
        cause=f"{again.cause()}, in the place of {'this shard' if one else 'these shards'}"
        if again is not None
        else f"the loader goes through its data without {'it' if one else 'them'}"
        if ended
        else "the epochs have steps enough for all rows"
        if enough
        else "",
        fix="compare the loader's list of files with the dataset's"
        + ("" if again is None else f": {again.names()} stands there too often"),
        epochs=tuple(c.epoch for c in claims),
        rows=rows,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        late=not ended and not enough and again is None,
        numbers={"shards": names},
    )


def _instead(counts: SplitCounts, unopened: int) -> Duplicates | None:
    """Shards that come again as often as there are unopened ones: they took their place in the list."""
    again = duplicates(counts)
    if again is None or again.surplus_entries != unopened:
        return None
    # Where all that is read comes again, nothing tells it from two passes in each epoch.
    once = again.rows.size < (counts.expected - counts.never_seen).size
    return again if once or not again.untold else None


def _ids_restart(counts: SplitCounts, shards: Shards) -> bool:
    """Whether the visits are those of a loader that gives the row inside the shard for the id.

    Then id ``i`` comes once per pass for every shard of more than ``i`` rows, and no id from the largest shard's length
    on. Shards of one length leave no such trace.
    """
    lengths = np.array([s.rows for s in shards], np.int64)
    largest = int(lengths.max())
    if shards.selected is not None or not (lengths[lengths > 0] != largest).any():
        return False
    visits = counts.run_visits.astype(np.int64)
    times = len(lengths) - np.searchsorted(np.sort(lengths), np.arange(largest), side="right")
    passes = int(visits.sum()) / int(lengths.sum())
    low, high = int(np.floor(passes)), int(np.ceil(passes))
    head = visits[:largest]
    return low > 0 and not visits[largest:].any() and bool(((head >= low * times) & (head <= high * times)).all())


def _restarting(counts: SplitCounts, shards: Shards, rows: RowSet) -> Evidence:
    largest = max(s.rows for s in shards)
    claims = tuple(Claim(e.epoch, e.missed, e.repeated.rows) for e in counts.complete_epochs)
    return Evidence(
        message=f"no id above {number(largest - 1)} ever came, and the lower ones come once for every shard that long",
        cause="the ids count the rows inside each shard, where they have to count over all shards",
        fix="add the number of rows of the shards before it to each id, or give (shard, row) pairs",
        epochs=tuple(c.epoch for c in claims),
        rows=rows,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        severity=Severity.ERROR,
        numbers={"largest_id": largest - 1},
    )


def _skipped(counts: SplitCounts, shards: Shards, never_seen: RowSet) -> Iterator[Evidence]:
    """Passes the loader told and ended, without shards that other passes hold."""
    skipped: dict[tuple[int, int], RowSet] = {}
    names: dict[str, None] = {}
    for one in counts.passes:
        if one.pass_from != "told" or not ends_by_itself(one) or not one.unique:
            continue
        without = shards.count_per_shard(one.missed - never_seen)
        which = np.flatnonzero((without == shards.expected_per_shard) & (without > 0))
        if len(which):
            skipped[one.rank, one.pass_] = _ids(shards, which)
            names.update((shards[int(i)].name, None) for i in which)
    claims = []
    for epoch in counts.complete_epochs:
        spans = [(s.rank, s.pass_) for s in epoch.spans]
        # Ranks divide the shards between them: what one rank's pass skips another's holds.
        mine = RowSet.union([skipped[key] for key in spans if key in skipped]) & epoch.missed
        if mine:
            claims.append(Claim(epoch.epoch, missed=mine))
    if not claims:
        return
    yield Evidence(
        message=f"{several(len(claims), 'epoch')} went without a whole shard: {listed(list(names))}",
        cause="the loader ends its pass without opening it, and opens it in another",
        fix="look at what changes the loader's list of files from pass to pass",
        epochs=tuple(c.epoch for c in claims),
        rows=claims[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=tuple(claims),
        numbers={"shards": list(names)},
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
