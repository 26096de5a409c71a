"""Records -> the sample ids they stand for, and the shard of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.source import SplitSource
from coverage_audit.counts.tally import Tally, remember
from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.visits import Visits


def expand(
    visits: Visits,
    records: slice,
    single: bool,
    inside: Mask,
    source: SplitSource,
    expected: Mask | None,
    tally: Tally,
) -> tuple[Ints, Ints | None, int]:
    """Records -> expected sample ids; also how many of them each record gives (None: 1), and how many rows are
    outside."""
    shards = source.shards
    shard, row = visits.shard[records], visits.row[records]
    if shards is not None and single and expected is None and inside.all():
        return _sample_ids(shard, row, source, shards), None, 0
    count = visits.count[records].astype(np.int64)
    strange = ~inside & ((visits.found[records] & ~VERIFIED) != Found.UNKNOWN)
    outside = int(count[strange].sum())
    if outside:
        remember(tally, -1, row[strange], count[strange])
    if shards is None or not inside.any():
        tally.outside += outside
        return np.empty(0, np.int64), np.zeros(len(row), np.int64), outside
    if not inside.all():
        count = np.where(inside, count, 0)
    first = _sample_ids(shard, row, source, shards)
    if (count == 1).all():
        ids = first
    else:
        before = np.cumsum(count) - count
        ids = np.arange(int(count.sum()), dtype=np.int64) + np.repeat(first - before, count)
    if expected is not None:
        wanted = expected[ids]
        if not wanted.all():
            outside += int((~wanted).sum())
            bad_shard, bad_row = shards.locate(ids[~wanted])
            remember(tally, int(bad_shard[0]), bad_row, np.ones(len(bad_row), np.int64))
            keep = np.concatenate(([0], np.cumsum(wanted)))
            ends = np.cumsum(count)
            count = keep[ends] - keep[ends - count]
            ids = ids[wanted]
    tally.outside += outside
    return ids, count, outside


def _sample_ids(shard: npt.NDArray[np.int32], row: Ints, source: SplitSource, shards: Shards) -> Ints:
    """The first sample id of each record; nothing that means something where the record is outside."""
    if source.raw_ids:
        return row
    ids = shards.offsets.take(shard, mode="clip")
    ids += row
    return ids


def shard_of_ids(
    shard: npt.NDArray[np.int32], of_record: Ints | None, ids: Ints, source: SplitSource
) -> npt.NDArray[np.int32] | None:
    """Of each of ``ids``, given the shard of each record and how many ids it gave; None where there are not several."""
    if source.shards is None or len(source.shards) < 2:
        return None
    if source.raw_ids:
        return source.shards.locate(ids)[0].astype(np.int32)
    return shard if of_record is None else np.repeat(shard, of_record)
