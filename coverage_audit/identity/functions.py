"""How rows follow numpy's functions: a list of those that are known to keep them. After any other, rows are unknown.

Only results with memory of their own are followed here. Views need no list: what they show is told by where they lie
(:mod:`~coverage_audit.identity.ledger`). Every rule takes what it may ask of arrays, the result, and the arguments of
the call, and gives what the result knows, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity import leads
from coverage_audit.identity.elementwise import Ask, known_of_elementwise, known_of_product, widens
from coverage_audit.identity.leads import Known, Lead, shape_of, unknown

Array = npt.NDArray[Any]
Arguments = tuple[Any, ...]
Named = Mapping[str, Any]
Rule = Callable[[Ask, Array, Arguments, Named], Known | None]


def _argument(args: Arguments, named: Named, at: int, name: str, default: Any) -> Any:
    return named[name] if name in named else args[at] if len(args) > at else default


def _axes(axis: Any, ndim: int) -> set[int]:
    return {one % ndim for one in (axis if isinstance(axis, tuple | list) else (axis,))}


def _inside(axis: Any, array: Array, lead: Lead) -> bool:
    """Whether an operation along these axes stays within the entries."""
    return axis is not None and min(_axes(axis, array.ndim), default=0) >= len(shape_of(lead))


# ---- several arrays into one


def _shape(part: Any) -> tuple[int, ...]:
    return part.shape if isinstance(part, np.ndarray) else np.shape(part)


def _ndims(parts: Sequence[Any]) -> set[int]:
    return {len(_shape(part)) for part in parts}


def _filled(parts: Sequence[Any], knowns: Sequence[Known | None], m: int, result: Array) -> tuple[list[Lead], bool]:
    """One lead of ``m`` axes per part, and whether entries may not be what is in the files."""
    altered = any(one is not None and one.altered for one in knowns)
    types = {part.dtype for part in parts if isinstance(part, np.ndarray)}
    return [
        unknown(_shape(part)[:m]) if one is None else one.lead for part, one in zip(parts, knowns, strict=True)
    ], altered or not all(widens(one, result.dtype) for one in types)


def _merged(knowns: Iterable[Known | None]) -> Known | None:
    """What entries know that are made of the entries of all parts."""
    lead: Lead | None = None
    for one in knowns:
        if one is not None:
            lead = one.lead if lead is None else leads.merge(lead, one.lead)
            if lead is None:
                return None
    return None if lead is None else Known(lead, True)


def _axes_known(knowns: Iterable[Known | None]) -> int | None:
    """How many leading axes the parts have; None if they differ or there are none."""
    counts = {len(shape_of(one.lead)) for one in knowns if one is not None}
    return counts.pop() if len(counts) == 1 else None


def _join(ask: Ask, parts: Sequence[Any], axis: int | None, result: Array) -> Known | None:
    """Parts joined along an axis that they have."""
    knowns = [ask(part) for part in parts]
    m = _axes_known(knowns)
    if axis is None or not m:
        return None
    axis %= result.ndim
    if axis >= m:
        return _merged(knowns)
    filled, altered = _filled(parts, knowns, m, result)
    return Known(leads.concatenate(filled, axis), altered)


def _pile(ask: Ask, parts: Sequence[Any], axis: int, result: Array) -> Known | None:
    """Parts put side by side along a new axis."""
    knowns = [ask(part) for part in parts]
    m = _axes_known(knowns)
    if m is None:
        return None
    axis %= result.ndim
    if axis > m:
        return _merged(knowns)
    if axis == m > 0:
        merged = _merged(knowns)
        if merged is not None and not _is_torn(merged.lead):
            return merged  # each entry holds the same row several times over
    filled, altered = _filled(parts, knowns, m, result)
    return Known(leads.stack(filled, axis), altered)


def _is_torn(lead: Lead) -> bool:
    return isinstance(lead, np.ndarray) and bool((lead < 0).any())


def concatenate(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    return _join(ask, args[0], _argument(args, named, 1, "axis", 0), result)


def stack(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    return _pile(ask, args[0], _argument(args, named, 1, "axis", 0), result)


def vstack(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    ndims = _ndims(args[0])
    if ndims == {1}:
        return _pile(ask, args[0], 0, result)
    return _join(ask, args[0], 0, result) if min(ndims) > 1 else None


def hstack(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    ndims = _ndims(args[0])
    if 0 in ndims or len(ndims) > 1:
        return None
    return _join(ask, args[0], 0 if ndims == {1} else 1, result)


def dstack(ask: Ask, result: Array, args: Arguments, _: Named) -> Known | None:
    ndims = _ndims(args[0])
    if ndims == {2}:
        return _pile(ask, args[0], 2, result)
    return _join(ask, args[0], 2, result) if min(ndims) > 2 else None


def column_stack(ask: Ask, _: Array, args: Arguments, __: Named) -> Known | None:
    """Columns stand side by side, so all of them must be of the same rows."""
    knowns = [ask(part) for part in args[0]]
    return _merged(knowns) if _axes_known(knowns) == 1 and _ndims(args[0]) <= {1, 2} else None


def append(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    parts = args[:2]
    axis = _argument(args, named, 2, "axis", None)
    if axis is None and _ndims(parts) == {1}:
        axis = 0
    return _join(ask, parts, axis, result)


# ---- one array, rearranged along an axis


def _rearranged(at: int, run: Callable[[Arguments, dict[str, Any]], Any], source: int = 0) -> Rule:
    """A rule for functions that do to the ids along an axis what they do to the entries; ``at``: place of ``axis``."""

    def rule(ask: Ask, _: Array, args: Arguments, named: Named) -> Known | None:
        known = ask(args[source])
        if known is None:
            return None
        array, lead = args[source], known.lead
        m = len(shape_of(lead))
        axis = _argument(args, named, at, "axis", None)
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
    axis = _argument(args, named, 2, "axis", None)
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
    index = np.asarray(_argument(args, named, 1, "indices", None))
    mode = _argument(args, named, 4, "mode", "raise")
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
    reps = _argument(args, named, 1, "reps", None)
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
    mode = _argument(args, named, 2, "mode", "constant")
    width = _argument(args, named, 1, "pad_width", None)
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
    order = _argument(args, named, 2, "order", "C")
    if known is None or order != "C":
        return None
    lead = leads.reshape(known.lead, args[0].shape, result.shape)
    return None if lead is None else Known(lead, known.altered)


def ravel(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    return reshape(ask, result, args[:1], {"order": _argument(args, named, 1, "order", "C")})


def along(at: int, default: Any) -> Rule:
    """A rule for functions that work along an axis (``at``: its place) within entries: reductions, sorts."""

    def rule(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
        known = ask(args[0])
        if known is None or not _inside(_argument(args, named, at, "axis", default), args[0], known.lead):
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
    np.concatenate: concatenate,
    np.stack: stack,
    np.vstack: vstack,
    np.hstack: hstack,
    np.dstack: dstack,
    np.column_stack: column_stack,
    np.append: append,
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
