"""Single numbers on their way from one place of an array to another.

``numpy.random.shuffle`` moves the elements of a 1-d array one by one as numpy scalars, which cannot carry rows. It
begins with ``empty_like`` of one element; from then on the numbers read from that array are remembered, as objects: a
number that is written is known only if it is the very object that was read lately.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

from coverage_audit.identity.layout import Place
from coverage_audit.identity.leads import Known
from coverage_audit.identity.ledger import Ledger

_KEPT = 4
"""Numbers that are remembered; a shuffle has one in hand."""


class _Lent(threading.local):
    """Of one thread: (number, row id, whether altered), the latest last. An object that is kept is unmistakable."""

    def __init__(self) -> None:
        self.numbers: deque[tuple[Any, int, bool]] = deque(maxlen=_KEPT)


_lent = _Lent()


def expect_loans(ledger: Ledger) -> None:
    """Elements are about to be moved one by one, two reads at a time."""
    ledger.loans = 2 * ledger.layout.size


def lend(ledger: Ledger, place: Place, at: int, number: Any) -> None:
    """Entry ``at`` of a 1-d array was read, which is at ``place``.

    True and False are no objects of their own, records are views: these are not remembered.
    """
    ledger.loans -= 1
    if isinstance(number, np.number) and len(place.counts) == 1:
        row = place.start + place.steps[0] * (at if at >= 0 else at + place.counts[0])
        _lent.numbers.append((number, ledger.row_id(row), ledger.altered or not place.whole))


def known_of_number(number: Any) -> Known | None:
    """What a number knows that is being written."""
    for lent, row_id, altered in _lent.numbers:
        if lent is number:
            return Known(row_id, altered)
    return None
