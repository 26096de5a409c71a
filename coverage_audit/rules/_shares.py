"""Which epochs tell how ranks and workers divide the data, and what of it lies in one pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.shares import EpochShare
from coverage_audit.counts.tables import EpochCount, PassCount, SplitCounts
from coverage_audit.model.rows import RowSet


@dataclass(frozen=True, slots=True)
class Divided:
    """One complete epoch, as the ranks of one attempt divided it.

    ``passes``: the most passes of the data that any process went through in it.
    """

    epoch: EpochCount
    share: EpochShare
    passes: int

    @property
    def one_pass(self) -> bool:
        return self.passes == 1

    @property
    def n_workers(self) -> int:
        """Processes and loader workers that gave anything, over all ranks."""
        return sum(len(r.workers) for r in self.share.ranks)

    @property
    def shared_by_ranks(self) -> RowSet:
        """Rows that two ranks saw in the same pass."""
        if self.one_pass:
            return self.share.of_ranks
        of_pass: dict[int, dict[int, list[RowSet]]] = defaultdict(lambda: defaultdict(list))
        for span in self.epoch.spans:
            of_pass[span.pass_][span.rank].append(span.rows)
        twice = RowSet.empty()
        for ranks in of_pass.values():
            seen = RowSet.empty()
            for rows in (RowSet.union(r) for r in ranks.values()):
                twice, seen = twice | (seen & rows), seen | rows
        return twice


def divided_epochs(counts: SplitCounts) -> Iterator[Divided]:
    """Complete epochs whose rows are all known."""
    epochs = {e.epoch: e for e in counts.complete_epochs if not e.unidentified}
    told = Counter(s.epoch for s in counts.shares)
    for share in counts.shares:
        epoch = epochs.get(share.epoch)
        if epoch is None or not epoch.visits or told[share.epoch] > 1:
            continue
        spans = Counter(s.rank for s in epoch.spans)
        processes = {r.rank: len({w.process for w in r.workers}) for r in share.ranks}
        passes = max((-(-n // processes.get(rank, 1)) for rank, n in spans.items()), default=1)
        yield Divided(epoch, share, passes)


def everything(part: int, union: int, readers: int, passes: int) -> bool:
    """Whether one of several readers with ``part`` of the ``union`` rows must have gone through all of them.

    Readers that divide each pass anew see 1 - (1 - 1/readers)^passes of the rows each; that is told from everything
    only where the rest would be more than a few rows.
    """
    absent = union * (1 - 1 / readers) ** passes
    if passes > 1 and absent < FEW:
        return False
    return union - part <= min(MOST_ABSENT * union, absent / 2)


MOST_ABSENT = 0.1
"""Of the rows that all readers see together, how many one that reads everything may lack (a dropped last batch)."""
FEW = 8


def ended(counts: SplitCounts, epoch: EpochCount) -> list[PassCount] | None:
    """The passes of the epoch if the loader itself ended each of them, else None."""
    mine = {(s.rank, s.pass_) for s in epoch.spans}
    passes = [p for p in counts.passes if (p.rank, p.pass_) in mine]
    whole = all(p.ended_by == "loader" and p.pass_from != "unknown" and not p.mixed_batches for p in passes)
    return passes if passes and whole else None
