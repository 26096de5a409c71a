"""Which misses and repeats of an epoch follow from where it begins and ends in the passes of the loader."""

from __future__ import annotations

import functools
from collections import Counter

from coverage_audit.counts.tables import EpochCount, PassCount, SplitCounts
from coverage_audit.model.finding import Claim
from coverage_audit.model.rows import RowSet


def usual_steps(counts: SplitCounts) -> int | None:
    """Steps an epoch normally has: the declared number if any complete epoch has it, else the commonest.

    An epoch that ended before the steps the trainer meant to take was cut: those are its normal length.
    None without a complete epoch of any steps. Ties go to the larger number: a cut is short of it, not beyond.
    """
    # Epochs of nothing, or of nothing but replays, end when the leftovers do: they say nothing about the usual length.
    steps = [max(e.steps, e.declared or 0) for e in counts.complete_epochs if e.replayed_batches < e.steps]
    if not steps:
        return None
    declared = counts.info.steps_per_epoch
    if declared is not None and declared in steps:
        return declared
    return max(Counter(steps).items(), key=lambda item: (item[1], item[0]))[0]


def fits_pass(counts: SplitCounts) -> bool:
    """Whether the usual number of steps is what one pass needs, so that drift must come from elsewhere."""
    usual = usual_steps(counts)
    return any(e.needed == usual for e in counts.complete_epochs)


class Alignment:
    """What each pass visits, or may still come to, in whichever epoch."""

    def __init__(self, counts: SplitCounts) -> None:
        unknown = {(p.rank, p.pass_) for p in counts.passes if p.pass_from == "unknown"}
        parts: dict[tuple[int, int], list[RowSet]] = {}
        for epoch in counts.epochs:
            for span in epoch.spans:
                if (span.rank, span.pass_) not in unknown:
                    parts.setdefault((span.rank, span.pass_), []).append(span.rows)
        never = never_visited(counts)
        for count in counts.passes:
            if (count.rank, count.pass_) in parts and to_come(count):
                parts[count.rank, count.pass_].append(count.missed - never)
        # What was pulled ahead and dropped at the end belongs to its pass: more steps would have trained on it.
        for hole in counts.holes:
            if hole.tail and (hole.rank, hole.pass_) in parts:
                parts[hole.rank, hole.pass_].append(hole.rows)
        self._rows = {key: RowSet.union(rows) for key, rows in parts.items()}

    def of(self, epoch: EpochCount) -> Claim:
        """What one epoch misses or repeats because it is not one whole pass.

        A missed row counts if a pass this epoch takes part in visits it outside the epoch, or may still come to it. A
        repeated row counts if its visits lie in different passes. Rows a finished pass never visits, and rows that
        come twice inside one pass, are not explained by this; nor is anything in an epoch with rows nobody knows.
        """
        if epoch.unidentified:
            return Claim(epoch.epoch)
        mine = {(s.rank, s.pass_) for s in epoch.spans} & self._rows.keys()
        # What the epoch misses is in none of its own parts, so a pass's rows are those it visits outside the epoch.
        elsewhere = RowSet.union([self._rows[key] & epoch.missed for key in mine]) if epoch.missed else RowSet.empty()
        return Claim(epoch.epoch, elsewhere, across_passes(epoch, mine))


def never_visited(counts: SplitCounts) -> RowSet:
    """Rows that no pass of the run visits, although the loader came to the end of some: no later pass will, either."""
    ended = [p.missed for p in counts.passes if ends_by_itself(p)]
    return functools.reduce(lambda a, b: a & b, ended) & counts.never_seen if ended else RowSet.empty()


def left_out(counts: SplitCounts, count: PassCount) -> RowSet:
    """What a pass misses, less what the loader did yield and nobody trained on."""
    return count.missed - RowSet.union([h.rows for h in counts.holes]) if count.untrained_batches else count.missed


def ends_by_itself(count: PassCount) -> bool:
    """Whether the loader brought this pass to its end, and all it yielded was consumed: what is missed it left out."""
    return (
        count.ended_by == "loader" and count.complete and count.pass_from != "unknown" and not count.untrained_batches
    )


def leaves_rows_out(counts: SplitCounts) -> bool:
    """Whether the loader ended passes without some of the rows, and not because the contract says so.

    One rank's (or process's) pass leaves to the others what they visit, so of several nothing is said.
    """
    if counts.divided or counts.batch_size is None or counts.info.contract.kind == "drop-remainder":
        return False
    return any(ends_by_itself(p) and p.missed for p in counts.passes)


def full_pass(counts: SplitCounts) -> tuple[int, ...]:
    """Steps one pass takes if it leaves no row out. Empty where the batch size is unknown.

    The sum of ceil(n / B) over the shards where each ends with a partial batch, else ceil(N / (B W)); either of them,
    by how the loader is mended, where no batch spans two shards but none is partial.
    """
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None or not counts.expected:
        return ()
    ranks = max(counts.run.ranks, 1)
    filled = -(-counts.expected.size // (size * ranks))
    if ranks > 1 or any(p.batches_span_shards for p in counts.passes):
        return (filled,)
    per_shard = sum(-(-int(n) // size) for n in shards.expected_per_shard)
    return (per_shard,) if any(p.partial_batches > 1 for p in counts.passes) else tuple(sorted({filled, per_shard}))


def to_come(count: PassCount) -> bool:
    """Whether the pass was left before its end: by the trainer, or by the end of the record."""
    return count.ended_by != "loader" and not count.complete


def across_passes(epoch: EpochCount, mine: set[tuple[int, int]]) -> RowSet:
    """Rows of the epoch that lie in two of its passes."""
    if not epoch.repeated.rows:
        return RowSet.empty()
    spans = [s for s in epoch.spans if (s.rank, s.pass_) in mine]
    if not any(s.surplus for s in spans) and not epoch.replayed and len({s.rank for s in spans}) == 1 < len(spans):
        return epoch.repeated.rows
    seen, twice = RowSet.empty(), RowSet.empty()
    for rank in {s.rank for s in spans}:
        seen = RowSet.empty()
        for span in spans:
            if span.rank == rank:
                twice = twice | (seen & span.rows)
                seen = seen | span.rows
    return twice & epoch.repeated.rows
