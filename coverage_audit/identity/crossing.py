"""Tracked arrays on their way to another process: pools, queues and loader workers keep the rows.

Only :mod:`multiprocessing` is told how; a file written by :mod:`pickle` holds an ordinary array, which can be read
where this package is not installed.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.leads import Known, Lead, lead_of_ids
from coverage_audit.identity.origins import ORIGINS, Key
from coverage_audit.identity.remembering import bare, known_of, remember
from coverage_audit.identity.shadows import Span, Windows
from coverage_audit.identity.tracked import TrackedArray, TrackedMemmap

Described = tuple[tuple[Key, int, int], ...]

_MODULE = "multiprocessing.reduction"
_told: list[Any] = []


def tell_multiprocessing() -> None:
    """Have tracked arrays carried along by multiprocessing, once it is in use. Cheap."""
    module = sys.modules.get(_MODULE)
    if module is None or _told:
        return
    pickler = getattr(module, "ForkingPickler", None)
    if pickler is not None:  # else it is being imported just now
        pickler.register(TrackedArray, take_apart)
        pickler.register(TrackedMemmap, take_apart)
        _told.append(pickler)


def take_apart(array: Any) -> tuple[Any, ...]:
    """As ``__reduce__``: the array with its rows, in terms another process understands."""
    known = known_of(array)
    plain = bare(array)
    if known is None:
        return plain.__reduce__()  # type: ignore[no-any-return]
    return put_together, (plain, known, ORIGINS.describe(_ends(known.lead)))


def put_together(array: npt.NDArray[Any], known: Known, described: Described) -> npt.NDArray[Any]:
    """The array in this process."""
    tell_multiprocessing()
    lead = _adopted(known.lead, described)
    return array if lead is None else remember(array, Known(lead, known.altered))


def _ends(lead: Lead) -> npt.NDArray[np.int64]:
    """Ids that lie in all the origins that the lead touches."""
    if isinstance(lead, Span):
        return np.array((lead.first, lead.first + lead.step * max(lead.length - 1, 0)), np.int64)
    if isinstance(lead, Windows):
        return np.concatenate((lead.firsts, lead.firsts + max(lead.length - 1, 0)))
    return np.atleast_1d(np.asarray(lead, np.int64))


def _adopted(lead: Lead, described: Described) -> Lead | None:
    """The same rows by the ids of this process; None if they are not rows of one origin any more."""
    ends = ORIGINS.adopt(_ends(lead), described)
    if isinstance(lead, Span):
        first, last = ends.tolist()
        return Span(first, lead.step, lead.length) if last - first == lead.step * max(lead.length - 1, 0) else None
    if isinstance(lead, Windows):
        firsts, lasts = np.split(ends, 2)
        known = (firsts >= 0) & (lasts - firsts == max(lead.length - 1, 0))
        return Windows(np.where(known, firsts, -1), lead.length)
    return lead_of_ids(ends.reshape(np.shape(lead)))
