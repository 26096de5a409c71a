"""Passes of a rank whose data several processes go through, each with a part of it (a pool over the files, say).

One process's pass is not the rank's: only where the parts fit together is there a pass of the rank, and it takes the
batches of all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from coverage_audit.counts.tables import PassCount, SplitCounts
from coverage_audit.model.rows import RowSet


def measures(count: PassCount, passes: Sequence[PassCount]) -> bool:
    """Whether a pass's number of batches says what a pass takes: whole, and no batch shared with a neighbour.

    ``passes``: those of the same process.
    """
    shared = any(p.rank == count.rank and p.pass_ == count.pass_ + 1 and p.mixed_batches for p in passes)
    return count.complete and count.pass_from != "unknown" and not count.mixed_batches and not shared


def together(processes: Sequence[Sequence[PassCount]]) -> list[PassCount]:
    """The passes of a rank from those of its processes, of one attempt. Those of a single process are the rank's.

    Of several, pass k is one where each process has a pass k that :func:`measures`, no row is in two of them, and no
    row that any of their passes visits is in none. Anything else (processes that all read everything, a pass for each
    file) says nothing about the rank: no pass.
    """
    if len(processes) == 1:
        return list(processes[0])
    everywhere = _in_none([p for passes in processes for p in passes])
    out: list[PassCount] = []
    for first in processes[0]:
        parts = [p for passes in processes for p in passes if p.pass_ == first.pass_ and measures(p, passes)]
        if len(parts) < len(processes):
            continue
        missed = _in_none(parts)
        unique = sum(p.unique for p in parts)
        if missed == everywhere and unique == first.unique + first.missed.size - missed.size:
            visits, batches = sum(p.visits for p in parts), sum(p.batches for p in parts)
            out.append(replace(first, batches=batches, visits=visits, unique=unique, missed=missed))
    return out


def joint_passes(counts: SplitCounts) -> tuple[PassCount, ...]:
    """The passes that a contract per pass is about: those of all ranks and processes that share the data put together.

    Pass k of all is what their passes k hold, complete only if each of them is. One reader's passes are as they are.
    """
    if not counts.divided:
        return counts.passes
    of_number: dict[int, list[PassCount]] = {}
    for count in counts.passes:
        of_number.setdefault(count.pass_, []).append(count)
    readers = max((len(parts) for parts in of_number.values()), default=0)
    out = []
    for _, parts in sorted(of_number.items()):
        missed, visits = _in_none(parts), sum(p.visits for p in parts)
        unique = counts.expected.size - missed.size
        out.append(
            replace(
                parts[0],
                complete=len(parts) == readers and all(p.complete for p in parts),
                batches=max(p.batches for p in parts),
                visits=visits,
                unique=unique,
                missed=missed,
                repeated=visits - unique,
                pass_from="unknown" if any(p.pass_from == "unknown" for p in parts) else parts[0].pass_from,
            )
        )
    return tuple(out)


def _in_none(passes: Sequence[PassCount]) -> RowSet:
    """Expected rows that none of these passes visits."""
    return functools.reduce(lambda a, b: a & b, (p.missed for p in passes), passes[0].missed)
