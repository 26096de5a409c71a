"""Batches that a trainer has peeked at and keeps: what if the loader writes into their memory again?"""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.identity.batches import Answer, leaves

_Kept = tuple[int, dict[tuple[int, tuple[int, ...]], Any], Answer]


class Peeked:
    """The batches of one peek: where their arrays lie, and which rows they held when they were yielded."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def add(self, number: int, batch: Any, rows: Answer) -> list[int]:
        """A further batch; the numbers of those, itself included, that lie in the same memory and held other rows."""
        places = {
            (leaf.__array_interface__["data"][0], leaf.shape): leaf  # kept alive, so that no address is used twice
            for leaf in leaves(batch)
            if isinstance(leaf, np.ndarray) and leaf.size
        }
        shared = [n for n, theirs, held in self._kept if places.keys() & theirs.keys() and not _same(held, rows)]
        self._kept.append((number, places, rows))
        return [*shared, number] if shared else []


def _same(one: Answer, other: Answer) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and not isinstance(one, np.ndarray) and str(one) == str(other)
