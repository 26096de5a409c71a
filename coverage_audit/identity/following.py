"""What follows for rows from a ufunc or a function that numpy has just run for tracked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.elementwise import known_of_elementwise, known_of_product
from coverage_audit.identity.functions import ELEMENTWISE, READS_ONLY, RULES, SELECTIONS
from coverage_audit.identity.leads import Known, shape_of
from coverage_audit.identity.loans import expect_loans
from coverage_audit.identity.reads import READS
from coverage_audit.identity.remembering import (
    Remembering,
    ask,
    find_rows,
    known_of_value,
    remember,
    remember_view,
    tell_reads,
    written,
)
from coverage_audit.identity.writing import enter, enter_unknown

Array = npt.NDArray[Any]


def after_ufunc(ufunc: np.ufunc, method: str, inputs: Any, kwargs: Any, outs: Any, result: Any) -> Any:
    if method == "at":
        for one in inputs[2:]:
            if ask(one) is not None:
                written(inputs[0])
        rows = find_rows(inputs[0]) if isinstance(inputs[0], Remembering) else None
        if rows is not None:
            rows[0].altered = True
        return result
    results = result if isinstance(result, tuple) else (result,)
    finished = []
    for at, made in enumerate(results):
        given = outs[at] if outs else None
        known = None
        if isinstance(made, np.ndarray):
            known = _known_of_ufunc(ufunc, method, inputs, kwargs, made)
        if given is None:
            finished.append(remember(made, known) if known is not None else made)
            continue
        if isinstance(given, Remembering):
            _enter_out(given, known, partly=kwargs.get("where", True) is not True)
        finished.append(given)
    return tuple(finished) if isinstance(result, tuple) else finished[0]


def _known_of_ufunc(ufunc: np.ufunc, method: str, inputs: Any, kwargs: Any, made: Array) -> Known | None:
    if method == "__call__":
        if ufunc.signature is None:
            return known_of_elementwise(ask, inputs, made)
        return known_of_product(ask, inputs, made) if ufunc is np.matmul and not kwargs.get("axes") else None
    if method in {"reduce", "accumulate"}:
        known = ask(inputs[0])
        axis = kwargs.get("axis", 0)
        if known is None or axis is None:
            return None
        ndim = inputs[0].ndim
        shape = shape_of(known.lead)
        axes = [one % ndim for one in (axis if isinstance(axis, tuple) else (axis,))]
        if min(axes, default=0) >= len(shape) and made.shape[: len(shape)] == shape:
            return Known(known.lead, True)
    return None


def _enter_out(given: Any, known: Known | None, *, partly: bool) -> None:
    """An operation has put its result into an array that the caller gave."""
    rows = find_rows(given)
    if rows is None:
        return
    ledger, place = rows
    ledger.altered = True
    if place is None:
        ledger.spoil()
    elif known is None or shape_of(known.lead) != place.counts:
        enter_unknown(rows)
    else:
        ledger.write(place, known.lead, partly=partly or not place.whole)


def after_function(func: Any, args: Any, kwargs: Any, tracked: list[Any], bared: Any, result: Any) -> Any:
    """The result as the user gets it. ``tracked``: the arguments that are; ``bared``: args and kwargs numpy saw."""
    if result is None:
        _after_silence(func, args, kwargs, tracked)
    elif type(result) is np.ndarray:
        given = argument_returned(args, kwargs, bared, result)
        if given is not None:
            if given is not result and func not in READS_ONLY:
                _enter_out(given, _known_by_rule(func, args, kwargs, result, among=ELEMENTWISE), partly=False)
            return given
        shown = _shown(result, tracked)
        if shown is not None:
            return remember_view(result, shown)
        known = _known_by_rule(func, args, kwargs, result, among=RULES)
        made = remember(result, known)
        if known is not None and func in SELECTIONS and READS.listeners:
            tell_reads((made,), derived=any(one._is_root for one in tracked))
        else:
            _tell(tracked)
        if func is np.empty_like and result.ndim == 0 and (rows := find_rows(tracked[0])) is not None:
            expect_loans(rows[0])
        return made
    elif type(result) is list or type(result) is tuple:
        kind = type(result)
        return kind([_listed(one, tracked) for one in result])
    elif isinstance(result, np.generic):
        _tell(tracked)
    return result


def argument_returned(args: Any, kwargs: Any, bared: Any, result: Any) -> Any:
    """The argument that a function has given back (as ``out``), as the caller gave it; None if it gave none."""
    bare_args, bare_kwargs = bared
    for one, given in zip((*args, *kwargs.values()), (*bare_args, *bare_kwargs.values()), strict=True):
        if given is result:
            return one
    return None


def _after_silence(func: Any, args: Any, kwargs: Any, tracked: list[Any]) -> None:
    """A function without a result has written to an argument, if it is not known that it only reads."""
    if func is np.copyto and len(args) == 2 and "where" not in kwargs and args[0] is tracked[0]:
        rows = find_rows(args[0])
        if rows is not None:
            enter(rows, args[0], Ellipsis, args[1], known_of_value(args[1]))
    elif func not in READS_ONLY:
        for one in tracked:
            written(one)


def _tell(tracked: list[Any]) -> None:
    if READS.listeners:
        tell_reads(tracked)


def _known_by_rule(func: Any, args: Any, kwargs: Any, result: Array, among: Any) -> Known | None:
    rule = RULES.get(func) if func in among else None
    return None if rule is None else rule(ask, result, args, kwargs)


def _listed(result: Any, tracked: list[Any]) -> Any:
    """One of several results: a view, or something of its own that knows nothing."""
    if type(result) is not np.ndarray:
        return result
    shown = _shown(result, tracked)
    return result if shown is None else remember_view(result, shown)


def _shown(result: Array, tracked: list[Any]) -> Any:
    """Which of these a result is a view of; None if it has memory of its own."""
    if result.base is None:
        return None
    return next((one for one in tracked if np.may_share_memory(result, one.view(np.ndarray))), None)
