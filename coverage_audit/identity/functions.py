"""How rows follow numpy's functions: a list of those that are known to keep them. After any other, rows are unknown.

Only results with memory of their own are followed here. Views need no list: what they show is told by where they lie
(:mod:`~coverage_audit.identity.ledger`). Every rule takes what it may ask of arrays, the result, and the arguments of
the call, and gives what the result knows, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coverage_audit.identity import joins, leads
from coverage_audit.identity.elementwise import Ask, known_of_elementwise, known_of_product, widens
from coverage_audit.identity.leads import Known, Lead, shape_of
from coverage_audit.identity.rule import Arguments, Array, Named, Rule, argument


def _axes(axis: Any, ndim: int) -> set[int]:
    return {one % ndim for one in (axis if isinstance(axis, tuple | list) else (axis,))}


def _inside(axis: Any, array: Array, lead: Lead) -> bool:
    """Whether an operation along these axes stays within the entries."""
    return axis is not None and min(_axes(axis, array.ndim), default=0) >= len(shape_of(lead))


# ---- one array, rearranged along an axis


def _rearranged(at: int, run: Callable[[Arguments, dict[str, Any]], Any], source: int = 0) -> Rule:
    """A rule for functions that do to the ids along an axis what they do to the entries; ``at``: place of ``axis``."""

    def rule(ask: Ask, _: Array, args: Arguments, named: Named) -> Known | None:
        known = ask(args[source])
        if known is None:
            return None
        array, lead = args[source], known.lead
        m = len(shape_of(lead))
        axis = argument(args, named, at, "axis", None)
        if axis is None:
            if array.ndim != 1 or m != 1:
                return None
            axis = 0
        axes = _axes(axis, array.ndim)
        if min(axes) >= m:
            return Known(lead, True)
        if max(axes) >= m:
            return None
        positional = list(args)
        if len(positional) > at:
            positional[at] = axis
            rest: dict[str, Any] = dict(named)
        else:
            rest = dict(named, axis=axis)
        positional[source] = leads.dense(lead)
        ids = run(tuple(positional), rest)
        return Known(np.asarray(ids, np.int64), known.altered)

    return rule


def take(ask: Ask, _: Array, args: Arguments, named: Named) -> Known | None:
    known = ask(args[0])
    if known is None:
        return None
    axis = argument(args, named, 2, "axis", None)
    m = len(shape_of(known.lead))
    if axis is None:
        if args[0].ndim != 1 or m != 1:
            return None
        axis = 0
    axis %= args[0].ndim
    if axis >= m:
        return Known(known.lead, True)
    if axis > 0:
        return None
    index = np.asarray(argument(args, named, 1, "indices", None))
    mode = argument(args, named, 4, "mode", "raise")
    n = args[0].shape[0]
    if mode == "wrap":
        index = index % n
    elif mode == "clip":
        index = np.clip(index, 0, n - 1)
    elif index.dtype == np.bool_:
        index = index.astype(np.int64)
    if m > 1 and index.ndim != 1:
        return None
    return Known(leads.pick(known.lead, index.astype(np.int64, copy=False)), known.altered)


def insert(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    """What is inserted is of no known row."""

    def run(args: Arguments, named: dict[str, Any]) -> Any:
        array, where, _, *axis = args
        return np.insert(array, where, leads.UNKNOWN, *axis, **named)

    return _rearranged(3, run)(ask, result, args, named) if len(args) > 2 else None


def tile(ask: Ask, _: Array, args: Arguments, named: Named) -> Known | None:
    known = ask(args[0])
    reps = argument(args, named, 1, "reps", None)
    counts = tuple(reps) if np.ndim(reps) else (reps,)
    ndim = args[0].ndim
    if known is None or len(counts) > ndim:
        return None
    counts = (1,) * (ndim - len(counts)) + counts
    m = len(shape_of(known.lead))
    beyond = any(count != 1 for count in counts[m:])
    if all(count == 1 for count in counts[:m]):
        return Known(known.lead, known.altered or beyond)
    return Known(np.tile(leads.dense(known.lead), counts[:m]), known.altered or beyond)


def pad(ask: Ask, _: Array, args: Arguments, named: Named) -> Known | None:
    """Entries that are added along the leading axes are of no known row, whatever they are filled with."""
    known = ask(args[0])
    mode = argument(args, named, 2, "mode", "constant")
    width = argument(args, named, 1, "pad_width", None)
    if known is None or not isinstance(mode, str) or isinstance(width, dict):
        return None
    widths = np.broadcast_to(np.asarray(width), (args[0].ndim, 2))
    m = len(shape_of(known.lead))
    within = not widths[m:].any()
    if not widths[:m].any():
        return Known(known.lead, known.altered or not within)
    ids = np.pad(leads.dense(known.lead), widths[:m], constant_values=leads.UNKNOWN)
    return Known(ids, known.altered or not within)


# ---- one array, entry by entry


def same_rows(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    """A copy, perhaps of another type."""
    known = ask(args[0])
    if known is None or result.shape != args[0].shape:
        return None
    return Known(known.lead, known.altered or not widens(args[0].dtype, result.dtype))


def reshape(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    """A reshape (or ravel) that had to copy."""
    known = ask(args[0])
    order = argument(args, named, 2, "order", "C")
    if known is None or order != "C":
        return None
    lead = leads.reshape(known.lead, args[0].shape, result.shape)
    return None if lead is None else Known(lead, known.altered)


def ravel(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    return reshape(ask, result, args[:1], {"order": argument(args, named, 1, "order", "C")})


def along(at: int, default: Any) -> Rule:
    """A rule for functions that work along an axis (``at``: its place) within entries: reductions, sorts."""

    def rule(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
        known = ask(args[0])
        if known is None or not _inside(argument(args, named, at, "axis", default), args[0], known.lead):
            return None
        shape = shape_of(known.lead)
        return Known(known.lead, True) if result.shape[: len(shape)] == shape else None

    return rule


def blank_like(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    """Zeros in the shape of an array with rows are to be filled with rows."""
    known = ask(args[0])
    if known is None or result.shape != args[0].shape:
        return None
    return Known(leads.blank(shape_of(known.lead)), False)


def elementwise(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    inputs = [*args, *(value for name, value in named.items() if name != "out")]
    return known_of_elementwise(ask, inputs, result)


def where(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    return known_of_elementwise(ask, args, result) if len(args) == 3 else None


def dot(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    return known_of_product(ask, args, result)


_REDUCTIONS = (
    *(np.sum, np.prod, np.mean, np.median, np.std, np.var, np.max, np.min, np.amax, np.amin, np.ptp, np.any, np.all),
    *(np.argmax, np.argmin, np.count_nonzero, np.nansum, np.nanmean, np.nanmax, np.nanmin),
)
_ALONG = (np.cumsum, np.cumprod, np.packbits, np.unpackbits)
_ELEMENTWISE = (np.clip, np.round, np.around, np.nan_to_num, np.fix, np.isclose)
_LIKE = (np.zeros_like, np.empty_like, np.ones_like, np.full_like)
_ASTYPE: tuple[Any, ...] = (np.astype,) if hasattr(np, "astype") else ()  # from numpy 2.1 on

RULES: dict[Any, Rule] = {
    np.concatenate: joins.concatenate,
    np.stack: joins.stack,
    np.vstack: joins.vstack,
    np.hstack: joins.hstack,
    np.dstack: joins.dstack,
    np.column_stack: joins.column_stack,
    np.append: joins.append,
    np.take: take,
    np.compress: _rearranged(2, lambda args, named: np.compress(*args, **named), source=1),
    np.repeat: _rearranged(2, lambda args, named: np.repeat(*args, **named)),
    np.roll: _rearranged(2, lambda args, named: np.roll(*args, **named)),
    np.delete: _rearranged(2, lambda args, named: np.delete(*args, **named)),
    np.insert: insert,
    np.tile: tile,
    np.pad: pad,
    np.copy: same_rows,
    np.reshape: reshape,
    np.ravel: ravel,
    np.where: where,
    np.dot: dot,
    **dict.fromkeys(_ASTYPE, same_rows),
    **dict.fromkeys(_LIKE, blank_like),
    **dict.fromkeys(_ELEMENTWISE, elementwise),
    **dict.fromkeys((*_REDUCTIONS, *_ALONG), along(1, None)),
    **dict.fromkeys((np.sort, np.argsort), along(1, -1)),
}
"""Functions with results of their own that keep rows, and the rule of each."""

ELEMENTWISE = frozenset(func for func, rule in RULES.items() if rule is elementwise)
"""Those that keep rows in an array given as ``out`` too."""

SELECTIONS = frozenset((np.take, np.compress, np.delete))
"""Those that read no more rows than they give."""

READS_ONLY = frozenset(
    (
        *(np.save, np.savez, np.savez_compressed, np.savetxt),
        *(np.atleast_1d, np.atleast_2d, np.atleast_3d, *_ASTYPE),
    )
)
"""Functions that give nothing, or an argument itself, and yet have written to none."""
