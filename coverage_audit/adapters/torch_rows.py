"""From positions in a map-style dataset to rows of the declared data, through what torch and others put in between.

Each kind of dataset that only rearranges others (Subset, ConcatDataset) is a *view*: it says where its positions lie
below. What is no view is a base. The bases of a dataset, in the order in which they are met, are the declared data if
they have as many rows together; if not, positions say nothing. A dataset of one's own that holds another one is a base,
and is not looked into: nobody knows what it does with its positions.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.adapters.whole_numbers import whole_numbers
from coverage_audit.model.rows import Ints

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset


@dataclass(frozen=True, slots=True)
class View:
    """``parts``: the datasets below, one after the other, with ``sizes`` rows each. ``places``: of each position of
    the view the place in the parts laid end to end; None where it is the position itself."""

    parts: Sequence[Any]
    sizes: Sequence[int]
    places: Ints | None = None


OTHERWISE = View((), (), np.array([-1], np.int64))
"""Of datasets that rearrange others in a way that nobody knows."""

Below = Callable[[Any], View | None]
"""``below(dataset)`` of a framework's module: what a dataset of its kinds rearranges; None for anything else. A base
whose positions are its rows in a changed order (an index of its own) is a view of itself: ``parts=(Base(key, rows),)``.
"""


@dataclass(frozen=True, slots=True)
class Base:
    """Data without an object of its own. ``key``: equal for equal data, hashable. ``rows``: how many it has."""

    key: Any
    rows: int

    def __len__(self) -> int:
        return self.rows


_HERE = __name__.rpartition(".")[0]

# (the module that is there when such a dataset can be, our module for it, which has below()).
_FRAMEWORKS: tuple[tuple[str, str], ...] = (("torch.utils.data", "torch_views"),)

# The same, for our modules that have own_rows(dataset, declared).
_OF_THEMSELVES: tuple[tuple[str, str], ...] = (("datasets", "huggingface_rows"),)


def below(dataset: Any) -> View | None:
    """What ``dataset`` rearranges, as the first framework that knows it says; None for a base."""
    for framework, module in _FRAMEWORKS:
        if framework in sys.modules:
            view: View | None = importlib.import_module(f"{_HERE}.{module}").below(dataset)
            if view is not None:
                return view
    return None


def own_rows(dataset: Any, declared: Dataset | None) -> Ints | str | None:
    """int64: the sample id of each position, -1 for what is not declared; a sentence where a dataset that could know
    does not; None for all others."""
    for framework, module in _OF_THEMSELVES:
        if framework in sys.modules:
            rows: Ints | str | None = importlib.import_module(f"{_HERE}.{module}").own_rows(dataset, declared)
            if rows is not None:
                return rows
    return None


Following = Callable[[Ints], Ints | None]
"""From positions to sample ids as the dataset is now; None for those that it does not have."""


def following(dataset: Any, bases: Sequence[tuple[Any, range | Ints]]) -> Following | None:
    """For a dataset in which positions can come to lie elsewhere while it is iterated; None for any other.

    ``bases``: with the sample ids of their positions.
    """
    for framework, module in _FRAMEWORKS:
        if framework in sys.modules:
            follow: Following | None = importlib.import_module(f"{_HERE}.{module}").following(dataset, bases)
            if follow is not None:
                return follow
    return None


class Positions:
    """``places``: of each position of the dataset its sample id; a range where they are consecutive. ``bases``: the
    datasets below, with the sample ids of their positions. ``now``: as the dataset is when it is asked; None where that
    cannot change."""

    __slots__ = ("_first", "_length", "_places", "bases", "now")

    def __init__(
        self,
        places: range | Ints,
        bases: Sequence[tuple[Any, range | Ints]] = (),
        now: Following | None = None,
    ) -> None:
        self.bases = bases
        self.now = now
        self._length = len(places)
        self._first = places.start if isinstance(places, range) else 0
        self._places = None if isinstance(places, range) else places

    def __len__(self) -> int:
        return self._length

    def ids(self, positions: Any) -> Ints | None:
        """The sample ids (int64, C-contiguous) of positions as a sampler gives them: whole numbers of any kind, one or
        many. None for anything else, and where one is outside. Negative ones count from the end, as for a list."""
        asked = whole_numbers(positions)
        if asked is None:
            return None
        if asked.size and not 0 <= np.minimum.reduce(asked) <= np.maximum.reduce(asked) < self._length:
            asked = np.where(asked < 0, asked + self._length, asked)
            if not 0 <= int(asked.min()) <= int(asked.max()) < self._length:
                return None
        if self._places is not None:
            return self._places[asked]
        return asked + self._first if self._first else asked

    def ids_now(self, positions: Any) -> Ints | None:
        """As :meth:`ids`, of the dataset as it is now, in this process."""
        if self.now is None:
            return self.ids(positions)
        asked = whole_numbers(positions)
        return None if asked is None else self.now(asked)

    def ids_of(self, tags: Sequence[tuple[int, int | list[int]] | None]) -> Ints | None:
        """The sample ids of samples of which each is (number of the base, its position there, or several); None where
        one of them is not known."""
        parts: list[Ints] = []
        for number, together in itertools.groupby(tags, key=lambda tag: -1 if tag is None else tag[0]):
            if number < 0:
                return None
            places = [tag[1] for tag in together if tag is not None]
            at = np.array([one for place in places for one in (place if type(place) is list else (place,))], np.int64)
            rows = self.bases[number][1]
            if at.size and not -len(rows) <= np.minimum.reduce(at) <= np.maximum.reduce(at) < len(rows):
                return None
            at[at < 0] += len(rows)
            parts.append(at + rows.start if isinstance(rows, range) else rows[at])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


def positions_of(dataset: Any, n_ids: int, declared: Dataset | None = None) -> Positions | str | None:
    """How positions in ``dataset`` are rows of data with ``n_ids`` sample ids.

    ``declared``: that data, for datasets that know themselves which of its rows they have. A sentence where one of
    these says why it cannot tell, or where the data has another number of rows; None where nothing is known.
    """
    met = _Met(declared)
    places = met.resolve(dataset)
    if places is None:
        return met.reason
    if met.bases and met.knows_itself:
        return None
    rows = sum(map(len, met.bases.values()))
    if met.bases and rows != n_ids:
        return (
            f"the loader's dataset is made of {rows:,} rows, the declared data of {n_ids:,}: declare all of them, and "
            "those that are used with .select()"
        )
    return Positions(places, met.leaves, following(dataset, met.leaves))


class _Met:
    """The data below a dataset, as far as it was met: ``bases``, laid end to end, and what knows its sample ids. The
    objects are the ``leaves``."""

    def __init__(self, declared: Dataset | None) -> None:
        self._declared = declared
        self.bases: dict[Any, range] = {}
        self.leaves: list[tuple[Any, range | Ints]] = []
        self.knows_itself = False
        self.reason: str | None = None

    def resolve(self, dataset: Any) -> range | Ints | None:
        """Of each position its place in all bases, or its sample id; None where that is not known."""
        view = below(dataset)
        if view is None:
            return self._leaf(dataset)
        if view is OTHERWISE:
            return None
        parts = []
        for part, size in zip(view.parts, view.sizes, strict=True):
            places = self.resolve(part)
            if places is None or len(places) != size:
                return None
            parts.append(places)
        together = _end_to_end(parts)
        if view.places is None:
            return together
        if view.places.size and not 0 <= int(view.places.min()) <= int(view.places.max()) < len(together):
            return None
        if isinstance(together, range):
            return view.places + together.start
        return together[view.places]

    def _leaf(self, dataset: Any) -> range | Ints | None:
        own = own_rows(dataset, self._declared)
        if isinstance(own, str):
            self.reason = own
            return None
        if own is not None:
            self.knows_itself = True
            self.leaves.append((dataset, own))
            return own
        key = dataset.key if isinstance(dataset, Base) else id(dataset)
        if key not in self.bases:
            rows = _length(dataset)
            if rows is None:
                return None
            start = sum(map(len, self.bases.values()))
            self.bases[key] = range(start, start + rows)
            self.leaves.append((dataset, self.bases[key]))
        return self.bases[key]


def _end_to_end(parts: list[range | Ints]) -> range | Ints:
    """The parts as one; still a range where they are consecutive, as all of a large ConcatDataset."""
    if not parts:
        return range(0)
    first = parts[0]
    at = first.start if isinstance(first, range) else 0
    for part in parts:
        if not isinstance(part, range) or part.start != at:
            return np.concatenate([np.asarray(part, np.int64) for part in parts])
        at = part.stop
    assert isinstance(first, range)
    return range(first.start, at)


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except Exception:  # noqa: BLE001 - a user's __len__ may raise anything, and then positions have no end
        return None
