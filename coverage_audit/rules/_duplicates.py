"""What the loader's own list of files or rows holds more than once: the same rows, equally often, in every pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import listed, number, several


@dataclass(frozen=True, slots=True)
class Duplicates:
    """``shards``: visits of each of its rows in a pass -> names of whole shards. Empty where it is ``rows`` that come
    ``times`` (fewest, most), or, with ``everything``, all of them."""

    rows: RowSet
    times: tuple[int, int]
    shards: Mapping[int, Sequence[str]]
    everything: bool = False
    untold: bool = False
    """Nothing tells where a pass ends."""

    @property
    def surplus_entries(self) -> int:
        """How many entries too many a list of files must have for this."""
        return sum((k - 1) * len(names) for k, names in self.shards.items())

    def names(self) -> str:
        """Of the shards, in words."""
        return listed([name for names in self.shards.values() for name in names])

    def cause(self) -> str:
        if self.shards:
            said = [f"every row of {listed(names)} comes {times_text(k)}" for k, names in sorted(self.shards.items())]
            return f"{listed(said)} in a pass"
        if self.everything:
            return f"every row of the data comes {times_text(*self.times)} in {'an epoch' if self.untold else 'a pass'}"
        return f"the same {several(self.rows.size, 'row')} {'comes' if self.rows.size == 1 else 'come'} " + (
            f"{times_text(*self.times)} in every pass"
        )

    def fix(self) -> str:
        if self.shards:
            said = [f"{listed(names)} {times_text(k)}" for k, names in sorted(self.shards.items())]
            return f"see whether the loader lists {listed(said)}, or repeats {'its' if self._one else 'their'} rows"
        if self.everything:
            n = number(self.times[0])
            return f"see whether the loader lists its files {times_text(*self.times)}, or " + (
                f"an epoch is {n} passes long"
                if self.untold
                else f"goes through them {times_text(*self.times)} in one pass"
            )
        return "see whether the loader's list of files or of rows holds these more than once"

    @property
    def _one(self) -> bool:
        return sum(len(names) for names in self.shards.values()) == 1


def times_text(low: int, high: int | None = None) -> str:
    """'twice', '3 times', '2 to 5 times'."""
    if high is not None and high != low:
        return f"{number(low)} to {number(high)} times"
    return "twice" if low == 2 else f"{number(low)} times"


def duplicates(counts: SplitCounts) -> Duplicates | None:
    """What every complete epoch that repeats anything repeats alike, as its passes do. None where second visits may
    belong to another pass, to another reader, or to the filling up of a last batch."""
    epochs = [e for e in counts.complete_epochs if e.surplus]
    if counts.shards is None or not epochs or not _inside_passes(counts, epochs):
        return None
    first = epochs[0].repeated
    if any(e.repeated.rows != first.rows or not np.array_equal(e.repeated.extra, first.extra) for e in epochs):
        return None
    untold = any(p.pass_from == "unknown" for p in counts.passes)
    times = (int(first.extra.min()) + 1, int(first.extra.max()) + 1)
    everything = first.rows == counts.expected
    if not everything and (shards := dict(_whole_shards(counts, epochs[0]))):
        return Duplicates(first.rows, times, shards, untold=untold)
    if not _by_one_reader(counts, epochs):
        return None
    if everything:
        return Duplicates(first.rows, times, {}, everything, untold) if times[0] == times[1] else None
    # Once is an accident; padding and replays come at the same place each time.
    if len(epochs) < max(2, len(counts.complete_epochs)) or any(
        e.replayed_batches or e.aliased_batches for e in epochs
    ):
        return None
    return Duplicates(first.rows, times, {})


def _inside_passes(counts: SplitCounts, epochs: Sequence[EpochCount]) -> bool:
    if any(p.pass_from == "unknown" for p in counts.passes):
        return 2 <= len(epochs) == len(counts.complete_epochs)
    return all(sum(s.surplus for s in e.spans) >= e.surplus for e in epochs)


def _whole_shards(counts: SplitCounts, epoch: EpochCount) -> Iterator[tuple[int, list[str]]]:
    """(visits of each row, names of the shards), where repeats are of whole shards; else nothing."""
    shards = counts.shards
    assert shards is not None
    rows, extra = epoch.repeated.rows, epoch.repeated.extra
    per_shard, whole = shards.count_per_shard(rows), shards.expected_per_shard
    hit = np.flatnonzero(per_shard)
    if (per_shard[hit] != whole[hit]).any():
        return
    found: dict[int, list[str]] = defaultdict(list)
    for i, of_shard in zip(hit.tolist(), np.split(extra, np.cumsum(per_shard[hit])[:-1]), strict=True):
        if (of_shard != of_shard[0]).any():
            return
        found[int(of_shard[0]) + 1].append(shards[i].name)
    yield from found.items()


def _by_one_reader(counts: SplitCounts, epochs: Sequence[EpochCount]) -> bool:
    """Whether each repeat is by the process and loader worker that gave the row before, and not the last batch only."""
    shares = {s.epoch: s for s in counts.shares}
    for epoch in epochs:
        share = shares.get(epoch.epoch)
        if share is None or not epoch.repeated.rows - share.last:
            return False
        if sum(w.visits - w.unique for r in share.ranks for w in r.workers) < epoch.surplus:
            return False
    return True
