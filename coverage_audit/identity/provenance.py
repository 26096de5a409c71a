"""Arrays that remember which rows of which file they hold, through what a script does to them with numpy.

A *root* is the memory map of a whole file; everything read from it, and every array loaded whole, is a *tracked array*.
Both are what numpy would have given, with the same values; beside them lies a ledger of the rows in their memory. Views
share the ledger of the memory they show. Results of their own get one where the operation is known to keep rows; all
others know nothing.

An array without rows is a constant: ``x - mean`` and ``x + noise`` are the rows of x, and so is x less one row that is
broadcast. Two rows in one entry make it unknown. A row that is overwritten in part stays the row, altered.

What numpy offers no hook for is not seen: ``np.asarray``, ``np.array``, ``memoryview``, DLPack and C extensions give
arrays without memory of their rows, and what they write into the memory of a tracked array leaves its ids as they were.
A sample of batches is therefore compared with the files (:mod:`~coverage_audit.identity.verification`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.crossing import tell_multiprocessing
from coverage_audit.identity.layout import place_of_all
from coverage_audit.identity.leads import Known, public, shape_of
from coverage_audit.identity.ledger import Ledger
from coverage_audit.identity.origins import Origin
from coverage_audit.identity.remembering import bare, known_of, remember
from coverage_audit.identity.shadows import Shadow, Span
from coverage_audit.identity.tracked import TrackedArray, TrackedMemmap

Array = npt.NDArray[Any]


def track(array: Array, shadow: Shadow) -> Array:
    """The array as one that knows its rows: a view of the same memory.

    ``shadow``: one entry per step along the first axis (for windows: the first two axes; for a 0-d one: of all of it).
    Anything but an ordinary array of numbers, or of another length than the shadow, is given back as it is.
    """
    lead = int(shadow) if isinstance(shadow, np.ndarray) and shadow.ndim == 0 else shadow
    shape = shape_of(lead)
    if array.shape[: len(shape)] != shape:
        return array
    tell_multiprocessing()
    return remember(array, Known(lead, altered=False))


def track_root(memmap: Array, origin: Origin) -> Array:
    """A memory map of all rows of ``origin``, which tells :data:`~coverage_audit.identity.reads.READS` what is read.

    The very object is given back, as one that remembers. A memory map of another class, of another number of rows or of
    Python objects is left as it is.
    """
    fits = memmap.ndim > 0 and memmap.shape[0] == origin.rows
    if type(memmap) is not np.memmap or not fits or memmap.dtype.hasobject:
        return memmap
    tell_multiprocessing()
    known = Known(Span(origin.base, 1, origin.rows), altered=False)
    ledger = Ledger(memmap, known)
    memmap.__class__ = TrackedMemmap  # a view would have another base and keep the map open for longer
    object.__setattr__(memmap, "_rows", (ledger, place_of_all((origin.rows,))))
    return memmap


def shadow_of(leaf: Any) -> Shadow | None:
    """The rows of an array, -1 where one is not known; None for anything that is not tracked or knows no row."""
    kind = type(leaf)
    if kind is not TrackedArray and kind is not TrackedMemmap:
        return None
    known = known_of(leaf)
    return None if known is None else public(known.lead)


def altered(leaf: Any) -> bool:
    """Whether the values may differ from those of the file: by arithmetic, by lossy casts, in parts or in order."""
    known = known_of(leaf)
    return known is None or known.altered


def plain(leaf: Any) -> Array:
    """A tracked array as an ordinary one of the same memory; anything else as it is."""
    found: Array = bare(leaf) if isinstance(leaf, TrackedArray | TrackedMemmap) else leaf
    return found
