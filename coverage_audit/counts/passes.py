"""Where passes begin, where nobody says so.

A loader that cycles over its data visits (nearly) every row once per pass, so a new pass shows as *agreement*: from
some visit on, nearly everything is a repeat of the pass so far. One repeat is never a boundary: a row that comes
twice, workers that replicate each other, and sampling with replacement all repeat without beginning anew.

The rule, for a visit ``t`` that repeats a row of the pass so far, with the ``window`` visits from ``t`` on:

- at least 90 % of them repeat the pass so far, and the new rows among them are at most 10 % of its rows
  (replicating workers keep bringing new rows);
- or the pass is complete: every expected row was visited, so whatever comes next is beyond it;
- and in both cases at most 10 % of the visits before ``t`` were repeats (sampling with replacement rises smoothly,
  it has no edge; replicating workers repeat all along).

The window is at least 32 batches or 1/16 of the rows (at most 65,536 visits). Where the record ends earlier, what is
there decides, but never a single visit. Among the visits of the window the boundary is the one that best parts new
rows from repeats.
"""

from __future__ import annotations

import numpy as np

from coverage_audit.counts.recency import Indices

AGREEMENT = 0.9
MAX_REPEATED_BEFORE = 0.1
WINDOW_BATCHES = 32
WINDOW_SHARE = 16
MAX_WINDOW = 65_536
FIRST_REPEATS = 1 << 12
"""Repeats that are looked at first, and twice as many each further time."""


def window_size(n_rows: int, batch_rows: int) -> int:
    """How many visits must agree before a boundary is believed."""
    return max(WINDOW_BATCHES * max(batch_rows, 1), min(n_rows // WINDOW_SHARE, MAX_WINDOW), 2)


def find_boundary(
    before: Indices, base: int, start: int, n_unique: int, n_rows: int, window: int, ended: bool, allowance: int = 0
) -> tuple[int, int]:
    """Look for the next pass boundary in a stretch of visits.

    ``before``: previous visit's index of each visit (:class:`~coverage_audit.counts.recency.Recency`); the stretch
    begins at index ``base``, the current pass at index ``start <= base`` with ``n_unique`` different rows so far.
    ``ended``: no visits follow the stretch. ``allowance``: repeats that say nothing: a pass that began in the middle of
    a batch may owe that batch's rest to padding, which comes again; no edge is looked for inside it.

    Returns (offset, decided): the offset of the boundary in the stretch, or -1, and up to which offset that answer
    is final. Beyond ``decided`` more visits are needed.
    """
    n = len(before)
    repeats = before >= start
    if not repeats.any():
        return -1, n
    all_offsets = np.flatnonzero(repeats)
    # Behind a boundary nearly every visit is a repeat, and the first few of them decide.
    low, many = 0, FIRST_REPEATS
    while True:
        offsets = all_offsets[low : low + many]
        repeated_before = np.arange(low, low + len(offsets))
        visits_before = offsets + (base - start)
        unique_before = n_unique + offsets - repeated_before
        stop = np.minimum(offsets + window, n)
        seen = stop - offsets
        agree = np.searchsorted(all_offsets, stop) - repeated_before
        whole = (seen == window) | ended
        clean = visits_before - unique_before - allowance <= MAX_REPEATED_BEFORE * visits_before
        edge = clean & (agree >= AGREEMENT * seen) & (seen - agree <= MAX_REPEATED_BEFORE * unique_before) & (seen >= 2)
        edge &= visits_before >= allowance
        complete = clean & (unique_before >= n_rows)
        hits = np.flatnonzero((edge & whole) | complete)
        undecided = np.flatnonzero(clean & ~whole & ~complete)
        if len(hits) or len(undecided):
            break
        low, many = low + many, 2 * many
        if low >= len(all_offsets):
            return -1, n
    limit = int(offsets[undecided[0]]) if len(undecided) else n
    if not len(hits) or int(offsets[hits[0]]) > limit:
        return -1, limit
    first = int(offsets[hits[0]])
    if complete[hits[0]]:
        return first, first
    # Stray repeats just before the edge would place it early: move right while new rows outweigh repeats.
    stretch = repeats[first : int(stop[hits[0]])]
    score = np.concatenate(([0], np.cumsum(np.where(stretch, -1, 1))))
    best = first + int(np.argmax(score))
    return best, best
