"""The pipeline of ids: the same rearrangements as a Grain pipeline's, over the numbers of its elements.

Shuffles, slices, repeats, mixtures and batches of Grain choose elements by index alone, so the same choices over
``range(n)`` give, batch by batch, the rows of the pipeline's batches. Whatever looks at an element and is one to one
(``map``) is left out; whatever may drop or split elements by what they hold (``filter``, ``flat_map``, packing) has no
such twin. Worker processes become an interleaving in this process, of the same slices. Nothing of the user's is run or
changed, and no element is read.

Reads private attributes of Grain (0.2.18); where one has moved, :func:`make_twin` says so, and the rows are looked for
in the ways of any other loader. That a twin goes along with its pipeline is checked with every batch, in
:mod:`~coverage_audit.adapters.grain`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from coverage_audit.adapters.grain_steps import (
    Batching,
    Counting,
    Element,
    Interleaving,
    Numbering,
    Repeating,
    Steps,
    WindowShuffling,
)


class NoTwinError(Exception):
    """The rows of this pipeline cannot be told from indices; the message says why."""


class Padded(list[Any]):
    """Ids of a batch that may be filled up with rows of no data."""


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
        return Twin(build.steps(pipeline, _Whole), build.workers, build.rows)
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


class _Indexed(NamedTuple):
    """What has positions. ``at`` goes on beyond ``length``, into the next epoch."""

    length: int
    at: Callable[[int], Element]


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
    rows: int = 0
    workers: Interleaving | None = None
    _first: dict[int, int] = field(default_factory=dict)

    def steps(self, node: Any, place: _Place) -> Steps:
        """An iterator's twin. A node with positions is iterated in order."""
        make = _ITERATED.get(_name(node))
        if make is not None:
            return make(self, node, place)
        indexed = self.indexed(node)
        return Counting(indexed.length, indexed.at)

    def indexed(self, node: Any) -> _Indexed:
        make = _INDEXED.get(_name(node))
        if make is None:
            raise NoTwinError(f"{type(node).__name__} may choose elements by what they hold")
        return make(self, node)

    # What has positions.

    def parent(self, node: Any) -> _Indexed:
        return self.indexed(node._parent)

    def source(self, node: Any) -> _Indexed:
        source = node._source
        if hasattr(type(source), "to_iter_dataset"):
            below = self.indexed(source)
            return _Indexed(below.length, lambda index: below.at(index % below.length))
        return self._numbers(source)

    def number(self, node: Any) -> _Indexed:
        if (node.start, node.step) != (0, 1):
            raise NoTwinError("a range that does not begin at 0 may be positions or rows")
        return self._numbers(node)

    def _numbers(self, source: Any) -> _Indexed:
        """The numbers of a source's elements, after those of the sources that were met before it."""
        length = len(source)
        first = self._first.get(id(source))
        if first is None:
            first = self._first[id(source)] = self.rows
            self.rows += length
        return _Indexed(length, lambda index: first + index % length)

    def sampled(self, node: Any) -> _Indexed:
        """What a DataLoader's sampler gives to one of its shards."""
        sampler, every, offset = node._sampler, node._shard_options.shard_count, node._shard_options.shard_index
        below = self.parent(node)
        if _name(sampler) == "SequentialSampler":
            return _Indexed(len(node), lambda index: below.at(index * every + offset))
        if _name(sampler) != "IndexSampler":
            raise NoTwinError(f"a {type(sampler).__name__} is no sampler of Grain's")
        keys, own = _Build().indexed(sampler._record_keys), sampler._shard_options.shard_count
        return _Indexed(len(node), lambda index: below.at(keys.at((index * every + offset) // own)))

    def sharded(self, node: Any) -> _Indexed:
        below, start, length = self.parent(node), node._start, len(node)
        return _Indexed(length, lambda index: below.at(index // length * below.length + index % length + start))

    def shuffled(self, node: Any) -> _Indexed:
        below, place = self.parent(node), node._shuffled_index
        return _Indexed(below.length, lambda index: below.at(place(index)))

    def part(self, node: Any) -> _Indexed:
        below, place = self.parent(node), node._sliced_index
        return _Indexed(len(node), lambda index: below.at(place(index)))

    def repeated(self, node: Any) -> _Indexed:
        below = self.parent(node)
        if node._reseed_each_epoch:
            return _Indexed(len(node), below.at)
        return _Indexed(len(node), lambda index: below.at(index % below.length))

    def mixed(self, node: Any) -> _Indexed:
        parts, choose = [self.indexed(parent) for parent in node._parents], node._selection_map

        def at(index: int) -> Element:
            which, place = choose[index]
            return parts[which].at(place)

        return _Indexed(len(node), at)

    def batched(self, node: Any) -> _Indexed:
        below, size, length, fill = self.parent(node), node._batch_size, len(node), _fill(node)

        def at(index: int) -> Element:
            epoch, inside = divmod(index, length)
            first = epoch * below.length
            stop = min(below.length, (inside + 1) * size)
            return fill([below.at(first + i) for i in range(inside * size, stop)])

        return _Indexed(length, at)

    # What is iterated.

    def below(self, node: Any, place: _Place) -> Steps:
        return self.steps(node._parent, place)

    def counted(self, node: Any, place: _Place) -> Steps:
        indexed = self.parent(node)
        for taken in reversed(place.slices):
            indexed = _sliced(indexed, taken)
        return Counting(indexed.length, indexed.at)

    def batches(self, node: Any, place: _Place) -> Steps:
        return Batching(self.below(node, place.inside()), node._batch_size, node._drop_remainder, _fill(node))

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

        return WindowShuffling(self.below(node, place.inside()), node._window_size, node._seed, _reshuffle_window)

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
        if place.top and all(_name(each) == "ProcessPrefetchIterDataset" for each in datasets):
            self.workers = steps
        return steps


def _name(node: Any) -> str:
    """The name of a class of Grain's; nothing for classes of others, which may do anything."""
    kind = type(node)
    return kind.__name__ if kind.__module__.partition(".")[0] == "grain" else ""


def _sliced(indexed: _Indexed, taken: slice) -> _Indexed:
    start, stop, step = taken.indices(indexed.length)
    length = len(range(start, stop, step))
    return _Indexed(length, lambda index: indexed.at(start + index % length * step + index // length * indexed.length))


def _fill(node: Any) -> Callable[[list[Element]], Element]:
    """The kind of list that stands for the node's batches."""
    made = node._batch_fn.func if isinstance(node._batch_fn, functools.partial) else node._batch_fn
    return Padded if getattr(made, "__name__", "") == "batch_and_pad" else list


_INDEXED: dict[str, Callable[[_Build, Any], _Indexed]] = {
    "SourceMapDataset": _Build.source,
    "RangeMapDataset": _Build.number,
    "_SamplerMapDataset": _Build.sampled,
    "_ShardMapDataset": _Build.sharded,
    "ShuffleMapDataset": _Build.shuffled,
    "WindowShuffleMapDataset": _Build.shuffled,
    "SliceMapDataset": _Build.part,
    "RepeatMapDataset": _Build.repeated,
    "MixedMapDataset": _Build.mixed,
    "ConcatenateMapDataset": _Build.mixed,
    "BatchMapDataset": _Build.batched,
    "MapMapDataset": _Build.parent,
    "RandomMapMapDataset": _Build.parent,
    "MapWithIndexMapDataset": _Build.parent,
    "_WithSeedMapDataset": _Build.parent,
}

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
