"""How rows follow functions that make one array out of several: the rules are those of functions.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from coverage_audit.identity import leads
from coverage_audit.identity.elementwise import Ask, widens
from coverage_audit.identity.leads import Known, Lead, shape_of, unknown
from coverage_audit.identity.rule import Arguments, Array, Named, argument


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
    return _join(ask, args[0], argument(args, named, 1, "axis", 0), result)


def stack(ask: Ask, result: Array, args: Arguments, named: Named) -> Known | None:
    return _pile(ask, args[0], argument(args, named, 1, "axis", 0), result)


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
    axis = argument(args, named, 2, "axis", None)
    if axis is None and _ndims(parts) == {1}:
        axis = 0
    return _join(ask, parts, axis, result)
