"""What an array remembers about its rows: one entry per step along its first axis, in one of a few forms.

Ids here are those of :mod:`~coverage_audit.identity.origins`, -1 is "not known". A form that needs no array is kept as
long as possible: a window of a billion tokens is three integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coverage_audit.model.rows import Ints


class Span(NamedTuple):
    """Entry ``k`` is row id ``first + k * step``; ``length`` entries."""

    first: int
    step: int
    length: int


class Windows(NamedTuple):
    """Entry ``k`` is ``length`` consecutive rows from ``firsts[k]`` on (a token loader's batch); -1: not known."""

    firsts: Ints
    length: int


Shadow = Span | Windows | Ints
"""Ints: int64, (n,) one id per entry; 0-d: the whole array is (part of) one row."""


def ids_of(shadow: Shadow) -> Ints:
    """Every id, in order: (n,), () for a single row, (n * length,) for windows with -1 where not known."""
    if isinstance(shadow, Span):
        first, step, length = shadow
        if step == 0:
            return np.full(length, first, np.int64)
        return np.arange(first, first + step * length, step, dtype=np.int64)
    if isinstance(shadow, Windows):
        ids = shadow.firsts[:, None] + np.arange(shadow.length, dtype=np.int64)
        ids[shadow.firsts < 0] = -1
        return ids.ravel()
    return shadow
