"""What of batches needs no order: how many, how large, how their rows are known, which rows are not of the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from coverage_audit.model.event import Found
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.runlog.visits import I8, Visits, only_value


@dataclass(slots=True)
class Tally:
    """What needs no order: sizes, ways of knowing, rows that are not of the data. Counts yields."""

    sizes: Counter[int] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    unidentified: int = 0
    unidentified_batches: int = 0
    outside: int = 0
    outside_rows: list[tuple[int, int]] = field(default_factory=list)
    yields: int = 0


def nameless_rows(size: Ints, nameless: Mask) -> int:
    """Rows of batches whose rows nobody knows: each held at least one."""
    return int(np.maximum(size[nameless], 1).sum()) if nameless.any() else 0


def count_batches(visits: Visits, how: I8, starts: Ints, size: Ints, yielded: Mask, tally: Tally) -> None:
    """Count the batches that begin at ``starts``; ``how``: the ways the records are known, ``yielded``: per batch."""
    nameless = how[starts] == Found.UNKNOWN
    sizes = size[yielded & ~(nameless & (size < 1))]
    if len(sizes) and (sizes == sizes[0]).all():
        tally.sizes[int(sizes[0])] += len(sizes)
    else:
        values, times = np.unique(sizes, return_counts=True)
        tally.sizes.update({int(v): int(n) for v, n in zip(values, times, strict=True)})
    tally.yields += int(yielded.sum())
    alike = only_value(how) is not None or how.min() == how.max()
    codes = [int(how[0])] if alike else np.unique(how).tolist()
    for code in codes:
        if code == Found.UNKNOWN:
            rows = nameless_rows(size, nameless)
            tally.unidentified += rows
            tally.unidentified_batches += int(nameless.sum())
        else:
            rows = int(size.sum()) if len(codes) == 1 else int(visits.count[how == code].sum(dtype=np.int64))
        tally.found[Found(code).name.lower().replace("_", " ")] += rows


def remember(tally: Tally, shard: int, rows: Ints, counts: Ints, limit: int = 20) -> None:
    """The first few rows that are not of the data; each record is a run of ``counts`` rows."""
    for row, count in zip(rows[:limit], counts[:limit], strict=True):
        for offset in range(min(int(count), limit - len(tally.outside_rows))):
            tally.outside_rows.append((shard, int(row) + offset))
