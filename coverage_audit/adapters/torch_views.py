"""torch's own datasets that rearrange others: Subset (and so random_split) and ConcatDataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.torch_rows import OTHERWISE, View
from coverage_audit.adapters.whole_numbers import whole_numbers
from coverage_audit.model.rows import Ints

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


def following(dataset: Any, bases: Sequence[tuple[Any, range | Ints]]) -> Moving | None:
    """Where there is a Subset: its ``indices`` may be others before the iteration is over."""
    subset, concatenation = loaded("torch", "utils.data.Subset"), loaded("torch", "utils.data.ConcatDataset")
    if subset is None or concatenation is None or not issubclass(type(dataset), subset | concatenation):
        return None
    return Moving(dataset, {id(base): places for base, places in bases}, subset, concatenation)


@dataclass(frozen=True, slots=True)
class Moving:
    """From positions to sample ids, through the views as they are when it is asked. ``places``: by the ids of bases."""

    dataset: Any
    places: Mapping[int, range | Ints]
    subset: type
    concatenation: type

    def __call__(self, asked: Ints) -> Ints | None:
        """None where a position is outside, or leads to what was not there before."""
        return self._rows(self.dataset, asked)

    def _rows(self, dataset: Any, asked: Ints) -> Ints | None:
        if issubclass(type(dataset), self.subset):
            chosen = _chosen(dataset.indices, asked)
            return None if chosen is None else self._rows(dataset.dataset, chosen)
        if issubclass(type(dataset), self.concatenation):
            return self._rows_in_parts(dataset, asked)
        places = self.places.get(id(dataset))
        at = None if places is None else _within(asked, len(places))
        if at is None or places is None:
            return None
        if isinstance(places, range):
            return at + places.start if places.start else at
        return places[at]

    def _rows_in_parts(self, dataset: Any, asked: Ints) -> Ints | None:
        ends = np.asarray(dataset.cumulative_sizes, np.int64)
        at = _within(asked, int(ends[-1]))
        if at is None:
            return None
        rows = np.empty(len(at), np.int64)
        parts = np.searchsorted(ends, at, side="right")
        for part in np.unique(parts).tolist():
            here = parts == part
            below_it = self._rows(dataset.datasets[part], at[here] - (ends[part - 1] if part else 0))
            if below_it is None:
                return None
            rows[here] = below_it
        return rows


def _chosen(indices: Any, asked: Ints) -> Ints | None:
    try:
        return whole_numbers(
            indices[asked] if isinstance(indices, np.ndarray) else [indices[at] for at in asked.tolist()]
        )
    except (LookupError, TypeError):
        return None


def _within(asked: Ints, length: int) -> Ints | None:
    """Positions from the start; None where one is outside."""
    if not asked.size or 0 <= np.minimum.reduce(asked) <= np.maximum.reduce(asked) < length:
        return asked
    at = np.where(asked < 0, asked + length, asked)
    return at if 0 <= np.minimum.reduce(at) <= np.maximum.reduce(at) < length else None
