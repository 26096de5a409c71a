"""How rows follow arithmetic: entries keep their row, entries of two rows have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.leads import Known, Lead, merge, shape_of

Ask = Callable[[Any], Known | None]
"""What an argument of a call knows: None for anything that is no array with rows."""


def known_of_elementwise(ask: Ask, inputs: Sequence[Any], result: npt.NDArray[Any]) -> Known | None:
    """What an element by element result of ``inputs`` knows, by numpy's rules of broadcasting.

    An input without rows, or one single row that is broadcast (a mean, a reference), leaves the others theirs.
    """
    lead: Lead | None = None
    for one in inputs:
        known = ask(one)
        if known is None:
            continue
        shape = shape_of(known.lead)
        if one.ndim < result.ndim and not shape:
            continue
        if one.ndim != result.ndim or result.shape[: len(shape)] != shape:
            return None
        if not shape and one.shape != result.shape:
            return None
        lead = known.lead if lead is None else merge(lead, known.lead)
        if lead is None:
            return None
    return None if lead is None else Known(lead, True)


def known_of_product(ask: Ask, inputs: Sequence[Any], result: npt.NDArray[Any]) -> Known | None:
    """``x @ w``: each row of x becomes a row of the result; anything else mixes rows."""
    if len(inputs) != 2:
        return None
    x, w = inputs
    known = ask(x)
    if known is None or ask(w) is not None or np.ndim(w) > 2:
        return None
    shape = shape_of(known.lead)
    if len(shape) >= x.ndim or result.shape[: len(shape)] != shape:
        return None
    return Known(known.lead, True)


def widens(old: np.dtype[Any], new: np.dtype[Any]) -> bool:
    """Whether every value of one type is the same value in the other."""
    if old == new:
        return True
    if old.kind not in "biufc" or new.kind not in "iufc" or not np.can_cast(old, new):
        return False
    # numpy takes the step from 64-bit integers to floats of 53 bits for a safe one.
    return not (old.kind in "iu" and old.itemsize == 8 and new.kind in "fc")
