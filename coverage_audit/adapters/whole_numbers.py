"""Positions as samplers give them: whole numbers of Python, numpy or torch, one or many."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.model.rows import Ints


def whole_numbers(asked: Any) -> Ints | None:
    """int64 (n,) of what a sampler gave: one whole number, or a flat list, tuple or array of them; None for others."""
    if isinstance(asked, bool):
        return None
    if type(asked) is list and asked and set(map(type, asked)) != {int}:
        asked = [_plain(one) for one in asked]
        if any(one is None for one in asked):
            return None
    elif type(asked) is not list:
        asked = _flat(asked)
        if asked is None:
            return None
    try:
        array = np.asarray(asked, np.int64) if type(asked) is list else np.asarray(asked)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        return None
    return np.ascontiguousarray(array, np.int64)


def _plain(one: Any) -> int | None:
    """A whole number as Python has it; None for what is none, True and False too."""
    if isinstance(one, bool) or getattr(one, "ndim", 0) != 0:
        return None
    dtype = getattr(one, "dtype", None)
    if dtype is not None and ("bool" in str(dtype) or "float" in str(dtype) or "complex" in str(dtype)):
        return None
    index = getattr(type(one), "__index__", None)
    try:
        return None if index is None else int(one.__index__())
    except Exception:  # noqa: BLE001 - of foreign objects; such a one is no position
        return None


def _flat(asked: Any) -> Any:
    """A list or a flat array of what is no list; None where it is none of these."""
    if isinstance(asked, np.ndarray):
        return asked.reshape(1) if asked.ndim == 0 else asked
    if isinstance(asked, range):
        return np.arange(asked.start, asked.stop, asked.step, dtype=np.int64)
    if type(asked).__module__.partition(".")[0] == "torch":
        try:
            array = np.asarray(asked.detach().cpu())
        except Exception:  # noqa: BLE001 - of kinds numpy does not have
            return None
        return array.reshape(1) if array.ndim == 0 else array
    if isinstance(asked, list | tuple):
        plain = [_plain(one) for one in asked]
        return None if any(one is None for one in plain) else plain
    one = _plain(asked)
    return None if one is None else [one]
