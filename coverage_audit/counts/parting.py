"""Where each of several loader workers begins the next pass.

Workers that stream several passes do not begin a new one in the same batch: for a while their batches stand side by
side in the stream, some of this pass, some of the next, and each worker may have one that holds rows of both. In a
worker's own sequence there is one edge all the same. So the pass that ends is, of each worker, what it gave before some
visit; and if that can be every row that the pass still lacks, each once, it is taken to be so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints, Mask

MOST_GUESSES = 64
"""Rows that two workers may have given first, of which one is tried after the other."""

MOST_LOOKS = 1 << 20
"""Rows looked at, some of them again and again, before an edge is taken to be past finding: a second or two."""

_Places = Mapping[int, list[tuple[int, int]]]


def part_workers(ids: Ints, worker: npt.NDArray[np.int32], prior: Mask, lacking: int) -> Mask | None:
    """Which of the visits ``ids`` complete the pass; the others are of the next one.

    ``worker``: of each visit. ``prior``: whether the pass visited its row before ``ids``. ``lacking``: how many rows
    it had not visited by then; every visit that is not prior is of one of them. What is returned holds each of them
    once, and of each worker its first visits only. None where nothing does.
    """
    fresh = np.flatnonzero(~prior)
    if lacking < 1 or len(np.unique(ids[fresh])) != lacking:
        return None
    visits_of = {int(w): np.flatnonzero(worker == w) for w in np.unique(worker)}
    low = dict.fromkeys(visits_of, 0)
    high = {w: int(np.append(np.flatnonzero(prior[own]), len(own))[0]) for w, own in visits_of.items()}
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    ordinal = dict.fromkeys(visits_of, 0)
    for w, row in zip(worker.tolist(), ids.tolist(), strict=True):
        if ordinal[w] < high[w]:
            places[row].append((w, ordinal[w]))
        ordinal[w] += 1
    found = None if len(places) != lacking else _Search(places).solve(low, high)
    if found is None:
        return None
    old = np.zeros(len(ids), np.bool_)
    for w, own in visits_of.items():
        old[own[: found[w]]] = True
    return old


class _Search:
    """``places``: (worker, ordinal in its sequence) of the visits of each row; the first ones are tried first."""

    def __init__(self, places: _Places) -> None:
        self._places = places
        self._guesses = self._looks = 0

    def solve(self, low: dict[int, int], high: dict[int, int]) -> dict[int, int] | None:
        """How many visits of each worker, at least ``low`` and at most ``high``; both are changed."""
        if not self._narrow(low, high):
            return None
        undecided = next((own for own in self._places.values() if not any(at < low[w] for w, at in own)), None)
        if undecided is None:
            return low
        for w, at in undecided:
            self._guesses += 1
            if at < high[w] and self._guesses <= MOST_GUESSES:
                found = self.solve(low | {w: at + 1}, dict(high))
                if found is not None:
                    return found
        return None

    def _narrow(self, low: dict[int, int], high: dict[int, int]) -> bool:
        """What is given once only is of this pass, what is of this pass is given once; False if that cannot be."""
        before = None
        while before != (low, high):
            before = dict(low), dict(high)
            self._looks += len(self._places)
            if self._looks > MOST_LOOKS:
                return False
            for own in self._places.values():
                possible = [(w, at) for w, at in own if at < high[w]]
                taken = [(w, at) for w, at in possible if at < low[w]] or possible[: len(possible) == 1]
                if not possible or len(taken) > 1:
                    return False
                for w, at in taken:
                    low[w] = max(low[w], at + 1)
                for w, at in possible if taken else ():
                    if (w, at) != taken[0]:
                        high[w] = min(high[w], at)
            if any(low[w] > high[w] for w in low):
                return False
        return True
