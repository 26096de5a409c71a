"""The pipeline of ids: the same rearrangements as a Grain pipeline's, over the numbers of its elements.

Shuffles, slices, repeats, mixtures and batches of Grain choose elements by index alone, so the same choices over
``range(n)`` give, batch by batch, the rows of the pipeline's batches. Whatever looks at an element and is one to one
(``map``) is left out; whatever may drop or split elements by what they hold (``filter``, ``flat_map``, packing) has no
such twin. Worker processes become an interleaving in this process, of the same slices. Nothing of the user's is run or
changed, and no element is read.

Reads private attributes of Grain (0.2.18); where one has moved, :func:`make_twin` says so, and the rows are looked for
in the ways of any other loader. That a twin goes along with its pipeline is checked with every batch, in
:mod:`~coverage_audit.adapters.grain_follower`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coverage_audit.adapters.grain_positions import Indexed, NoTwinError, Positions, elements_of, fill_of, name_of
from coverage_audit.adapters.grain_shuffle import Windows
from coverage_audit.adapters.grain_steps import (
    Batching,
    Counting,
    Interleaving,
    Numbering,
    Repeating,
    Steps,
    WindowShuffling,
)


@dataclass(frozen=True, slots=True)
class Twin:
    """``steps``: ids in the order of the pipeline. ``workers``: what says which process made the element that was given
    last, None where none did. ``sources``: elements of all sources together."""

    steps: Steps
    workers: Interleaving | None
    sources: int


def make_twin(pipeline: Any) -> Twin:
    """The ids of a Grain MapDataset or IterDataset, of a DataLoader's one too, from their beginning.

    Raises :class:`NoTwinError`.
    """
    build = _Build()
    try:
        return Twin(build.steps(pipeline, _Whole), build.workers, build.positions.rows)
    except (AttributeError, TypeError, ValueError, KeyError, ImportError) as error:
        raise NoTwinError(f"this version of Grain is built otherwise ({type(error).__name__}: {error})") from error


def repeats(pipeline: Any) -> bool:
    """Whether one iteration may go through the data several times."""
    sampler = getattr(pipeline, "_sampler", None)
    if getattr(pipeline, "_num_epochs", 1) != 1 or getattr(sampler, "_num_epochs", 1) != 1:
        return True
    datasets = getattr(pipeline, "_datasets", ())
    below = [*getattr(pipeline, "_parents", ()), *(datasets if isinstance(datasets, list | tuple) else ())]
    return any(map(repeats, below))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the pipeline a node stands. ``top``: each of its elements is one of the whole pipeline. ``slices``: what
    each of the processes takes of whatever has positions, the outermost first."""

    top: bool = False
    slices: tuple[slice, ...] = ()

    def inside(self) -> _Place:
        return _Place(False, self.slices)


_Whole = _Place(top=True)


@dataclass(slots=True)
class _Build:
    """Makes the twins of what is iterated."""

    positions: Positions = field(default_factory=Positions)
    workers: Interleaving | None = None

    def steps(self, node: Any, place: _Place) -> Steps:
        """The twin of a node's iterator. A node with positions is iterated in order."""
        make = _ITERATED.get(name_of(node))
        return _in_order(self.positions.of(node)) if make is None else make(self, node, place)

    def below(self, node: Any, place: _Place) -> Steps:
        return self.steps(node._parent, place)

    def counted(self, node: Any, place: _Place) -> Steps:
        indexed = self.positions.parent(node)
        for taken in reversed(place.slices):
            indexed = indexed.sliced(taken)
        return _in_order(indexed)

    def batches(self, node: Any, place: _Place) -> Steps:
        return Batching(self.below(node, place.inside()), node._batch_size, node._drop_remainder, fill_of(node))

    def randomly_mapped(self, node: Any, place: _Place) -> Steps:
        return Numbering(self.below(node, place), "index_for_rng")

    def mapped_with_index(self, node: Any, place: _Place) -> Steps:
        return Numbering(self.below(node, place), "counter")

    def limited(self, node: Any, place: _Place) -> Steps:
        return Numbering(self.below(node, place), "count_elements_read", node._count)

    def again(self, node: Any, place: _Place) -> Steps:
        return Repeating(self.below(node, place), node._num_epochs)

    def window_shuffled(self, node: Any, place: _Place) -> Steps:
        from grain._src.python.dataset.transformations.shuffle import _reshuffle_window

        return WindowShuffling(
            self.below(node, place.inside()), node._window_size, node._seed, Windows(_reshuffle_window)
        )

    def of_worker(self, node: Any, place: _Place) -> Steps:
        if node._sequential_slice:
            raise NoTwinError("each worker process has a piece of the source (sequential_slice)")
        return self.below(node, _Place(False, (*place.slices, node._slice)))

    def interleaved(self, node: Any, place: _Place) -> Steps:
        datasets: Any = node._datasets
        if not isinstance(datasets, list | tuple):
            raise NoTwinError("the datasets that are interleaved are made on the way")
        for taken in place.slices:
            datasets = datasets[taken]
        # Made now, so that what has no twin is known now, and the sources are numbered in their order.
        for each in datasets:
            self.steps(each, _Place())
        makers = [functools.partial(self.steps, each, _Place()) for each in datasets]
        steps = Interleaving(makers, node._cycle_length)
        if place.top and all(name_of(each) == "ProcessPrefetchIterDataset" for each in datasets):
            self.workers = steps
        return steps


def _in_order(indexed: Indexed) -> Counting:
    return Counting(indexed.length, lambda first, stop: elements_of(indexed.at(np.arange(first, stop))), indexed.block)


_ITERATED: dict[str, Callable[[_Build, Any, _Place], Steps]] = {
    "PrefetchIterDataset": _Build.counted,
    "BatchIterDataset": _Build.batches,
    "RandomMapIterDataset": _Build.randomly_mapped,
    "MapWithIndexIterDataset": _Build.mapped_with_index,
    "LimitIterDataset": _Build.limited,
    "RepeatIterDataset": _Build.again,
    "WindowShuffleIterDataset": _Build.window_shuffled,
    "_LazyWorkerSliceIterDataset": _Build.of_worker,
    "InterleaveIterDataset": _Build.interleaved,
    "MapIterDataset": _Build.below,
    "_WithSeedIterDataset": _Build.below,
    "WithOptionsIterDataset": _Build.below,
    "ThreadPrefetchIterDataset": _Build.below,
    "ProcessPrefetchIterDataset": _Build.below,
    "_MpContextIterDataset": _Build.below,
    "_OutputIterDataset": _Build.below,
    "_DataLoaderStateIterDataset": _Build.below,
    "_DataLoaderPipelineMarkerIterDataset": _Build.below,
}
"""How a node's twin is made, by its class. Those left out may drop, split or pack elements."""
