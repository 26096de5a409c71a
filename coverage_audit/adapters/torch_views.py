"""torch's own datasets that rearrange others: Subset (and so random_split) and ConcatDataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.torch_rows import OTHERWISE, View, whole_numbers

_CHOOSING = ("__getitem__", "__getitems__", "__len__")
"""Methods by which a dataset says which samples it has, and where."""


def below(dataset: Any) -> View | None:
    """What a Subset or a ConcatDataset looks at; None for any other.

    A subclass that chooses samples in its own way is a view of nothing that is known: its length may agree with the
    declared data by chance.
    """
    for name, look in (("Subset", _subset), ("ConcatDataset", _concatenation)):
        kind = loaded("torch", f"utils.data.{name}")
        if kind is not None and issubclass(type(dataset), kind):
            own = any(getattr(type(dataset), method, None) is not getattr(kind, method, None) for method in _CHOOSING)
            return OTHERWISE if own else look(dataset)
    return None


def _subset(dataset: Any) -> View | None:
    indices = whole_numbers(dataset.indices)
    length = len(dataset.dataset)
    if indices is None:
        return None
    return View((dataset.dataset,), (length,), np.where(indices < 0, indices + length, indices))


def _concatenation(dataset: Any) -> View:
    sizes = np.diff(np.concatenate(([0], dataset.cumulative_sizes)))
    return View(tuple(dataset.datasets), tuple(sizes.tolist()))
