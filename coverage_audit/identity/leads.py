"""Row ids along the leading axes of an array: the values that follow numpy operations.

An array of shape (B, T, 3) whose lead has shape (B, T) holds one row (or part of one) per entry of its first two axes;
a lead of shape () says that the whole array is (part of) one row. Ids are those of
:mod:`~coverage_audit.identity.origins`; :data:`UNKNOWN` and :data:`BLANK` stand where there is no row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.shadows import Shadow, Span, Windows, ids_of
from coverage_audit.model.rows import Ints

Lead = int | Span | Windows | Ints
"""int: shape (). Span: (length,). Windows: (len(firsts), length). Ints: its own shape, any number of axes."""

UNKNOWN = -1
"""Of no row, of several rows, or not known."""

BLANK = -2
"""Of no row yet: zeros and the like, beside which any row keeps its id."""

AT_MOST = 1 << 24
"""Ids written out one by one; where more would be needed they are not known (128 MB)."""


class Known(NamedTuple):
    """What an array knows. ``altered``: its entries may differ from the rows as they are in the file."""

    lead: Lead
    altered: bool


class TooManyError(ValueError):
    """More ids than are written out one by one."""


def shape_of(lead: Lead) -> tuple[int, ...]:
    """The leading axes a lead stands for."""
    if isinstance(lead, Span):
        return (lead.length,)
    if isinstance(lead, Windows):
        return (len(lead.firsts), lead.length)
    return () if isinstance(lead, int) else lead.shape


def dense(lead: Lead) -> Ints:
    """The ids one by one, in the shape of the lead. Raises :class:`TooManyError`."""
    if isinstance(lead, np.ndarray):
        return lead
    if isinstance(lead, int):
        return np.array(lead, np.int64)
    shape = shape_of(lead)
    if math.prod(shape) > AT_MOST:
        raise TooManyError(shape)
    return ids_of(lead).reshape(shape)


def lead_of_ids(ids: Ints) -> Lead:
    """The lead these ids are."""
    return int(ids) if ids.ndim == 0 else ids


def blank(shape: tuple[int, ...]) -> Lead:
    """A lead of no row yet."""
    if len(shape) == 1:
        return Span(BLANK, 0, shape[0])
    if math.prod(shape) > AT_MOST:
        raise TooManyError(shape)
    return BLANK if not shape else np.full(shape, BLANK, np.int64)


def unknown(shape: tuple[int, ...]) -> Lead:
    """The lead of entries none of which is known. Raises :class:`TooManyError`."""
    if math.prod(shape) > AT_MOST:
        raise TooManyError(shape)
    return UNKNOWN if not shape else np.full(shape, UNKNOWN, np.int64)


def public(lead: Lead) -> Shadow | None:
    """The lead as a shadow others can read; None where it has no such form, or nothing is known at all."""
    if isinstance(lead, int):
        return np.array(lead, np.int64) if lead >= 0 else None
    if isinstance(lead, Span):
        return lead if lead.first >= 0 or lead.length == 0 else None
    if isinstance(lead, Windows):
        return lead
    if lead.ndim == 1:
        return np.maximum(lead, UNKNOWN)
    return _windows(lead) if lead.ndim == 2 else None


def _windows(ids: Ints) -> Windows | None:
    """(B, T) ids as windows; None unless each line goes up by one."""
    if not ids.size:
        return None
    firsts = ids[:, 0]
    steady = (ids == firsts[:, None] + np.arange(ids.shape[1])).all(axis=1)
    lost = (ids < 0).all(axis=1)
    if not (steady | lost).all():
        return None
    return Windows(np.where(lost, UNKNOWN, firsts), ids.shape[1])


def same(one: Lead, other: Lead) -> bool:
    """Whether two leads are cheaply seen to be equal; False may also mean that it takes a closer look."""
    if one is other:
        return True
    if isinstance(one, int | Span):
        return type(one) is type(other) and bool(one == other)
    if isinstance(one, Windows) and isinstance(other, Windows):
        return one.length == other.length and np.array_equal(one.firsts, other.firsts)
    return False


def merge(one: Lead, other: Lead) -> Lead | None:
    """The lead of entries that come from both: known where they agree. None if their shapes differ."""
    if same(one, other):
        return one
    if shape_of(one) != shape_of(other):
        return None
    if _is_blank(one) or _is_blank(other):
        return other if _is_blank(one) else one
    a, b = dense(one), dense(other)
    return lead_of_ids(np.where((a == b) | (b == BLANK), a, np.where(a == BLANK, b, UNKNOWN)))


def _is_blank(lead: Lead) -> bool:
    return lead == BLANK if isinstance(lead, int) else isinstance(lead, Span) and lead.first == BLANK


def pick(lead: Lead, index: npt.NDArray[Any]) -> Lead:
    """The lead of ``array[index]``; ``index``: integers of any shape, or a mask over the first axes."""
    if isinstance(lead, int):
        return lead
    if index.dtype == np.bool_:
        parts = index.nonzero()
        inside = len(shape_of(lead))
        if len(parts) == 1:
            return pick(lead, parts[0])
        return lead_of_ids(dense(lead)[parts[:inside]])
    if isinstance(lead, np.ndarray):
        return lead_of_ids(lead[index])
    at = index.astype(np.int64, copy=False)
    n = shape_of(lead)[0]
    if at.size and at.min() < 0:
        at = np.where(at < 0, at + n, at)
    if isinstance(lead, Span):
        return lead_of_ids(np.asarray(lead.first + at if lead.step == 1 else lead.first + lead.step * at))
    if at.ndim == 1:
        return Windows(lead.firsts[at], lead.length)
    return lead_of_ids(dense(lead)[at])


def cut(lead: Lead, part: slice) -> Lead:
    """The lead of ``array[part]``."""
    if isinstance(lead, int):
        return lead
    start, stop, step = part.indices(shape_of(lead)[0])
    if isinstance(lead, Span):
        return Span(lead.first + start * lead.step, lead.step * step, len(range(start, stop, step)))
    if isinstance(lead, Windows):
        return Windows(lead.firsts[part], lead.length)
    return lead[part]


def narrow(lead: Lead, parts: Sequence[slice]) -> Lead:
    """The lead of ``array[:, parts[0], parts[1], ...]``: the axes after the first, as far as they are in the lead."""
    inner = shape_of(lead)[1:]
    cut = [part for part, n in zip(parts, inner, strict=False) if part.indices(n) != (0, n, 1)]
    if not cut:
        return lead
    if isinstance(lead, Windows):
        start, stop, step = parts[0].indices(lead.length)
        if step == 1:
            return shifted(lead, start, max(stop - start, 0))
    return lead_of_ids(dense(lead)[(slice(None), *parts[: len(inner)])])


def shifted(windows: Windows, by: int, length: int) -> Windows:
    """Windows that start ``by`` rows later and have another length."""
    firsts = windows.firsts
    return Windows(np.where(firsts < 0, UNKNOWN, firsts + by) if by else firsts, length)


def stack(leads: Sequence[Lead], axis: int = 0) -> Lead:
    """The lead of arrays of one shape stacked along a new axis of the lead. Raises ``ValueError`` if shapes differ."""
    first = leads[0]
    if axis == 0 and isinstance(first, int):
        if all(isinstance(lead, int) for lead in leads):
            return np.array(leads, np.int64)
    elif axis == 0 and isinstance(first, Span):
        length = first.length
        spans = [lead for lead in leads if isinstance(lead, Span)]
        if len(spans) == len(leads) and all(s.length == length and s.step == 1 and s.first >= 0 for s in spans):
            return Windows(np.array([span.first for span in spans], np.int64), length)
    _refuse(leads)
    return lead_of_ids(np.stack([dense(lead) for lead in leads], axis=axis))


def concatenate(leads: Sequence[Lead], axis: int = 0) -> Lead:
    """The lead of arrays joined along an axis of the lead. Raises ``ValueError`` if shapes do not fit."""
    if len(leads) == 1:
        return leads[0]
    if axis == 0:
        windows = [lead for lead in leads if isinstance(lead, Windows)]
        if len(windows) == len(leads) and len({w.length for w in windows}) == 1:
            return Windows(np.concatenate([w.firsts for w in windows]), windows[0].length)
    _refuse(leads)
    return lead_of_ids(np.concatenate([dense(lead) for lead in leads], axis=axis))


def reshape(lead: Lead, old: tuple[int, ...], new: tuple[int, ...]) -> Lead | None:
    """The lead of an array of shape ``old`` after a reshape in C order; None if its rows are torn."""
    shape = shape_of(lead)
    if not math.prod(old):
        return None
    entries = math.prod(shape)
    if new[: len(shape)] == shape:
        return lead
    count = 1
    for at, n in enumerate(new, start=1):
        count *= n
        if count == entries:
            rest = new[:at]
            if rest == (entries,) and isinstance(lead, int):
                return np.array([lead], np.int64)
            return lead_of_ids(dense(lead).reshape(rest))
    return None


def _refuse(leads: Sequence[Lead]) -> None:
    """Raise before many ids are written out."""
    entries = sum(math.prod(shape_of(lead)) for lead in leads)
    if entries > AT_MOST:
        raise TooManyError(entries)
