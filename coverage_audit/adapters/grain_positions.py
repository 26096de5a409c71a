"""Grain's map datasets over the numbers of their elements: which element stands at each of many positions.

As a MapDataset is asked for one position, its twin here is asked for a block of them, and says the ids there: what
Grain computes for one position costs as much as a block of them does in numpy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from coverage_audit.adapters.grain_shuffle import Checked, shuffled
from coverage_audit.adapters.grain_steps import Element
from coverage_audit.model.rows import Ints

BLOCK = 2048
"""Positions that are asked for at once, at the most."""


class NoTwinError(Exception):
    """The rows of this pipeline cannot be told from indices; the message says why."""


class Padded(list[Any]):
    """Ids of a batch that may be filled up with rows of no data."""


class Indexed(NamedTuple):
    """What has positions.

    ``at``: the elements at some, which may lie beyond ``length``, in the next epoch; an array where they are ids.
    ``block``: how many it is well to ask for at once.
    """

    length: int
    at: Callable[[Ints], Sequence[Element] | Ints]
    block: int = BLOCK

    def sliced(self, taken: slice) -> Indexed:
        """Every element of the slice, epoch after epoch."""
        start, stop, step = taken.indices(self.length)
        length = len(range(start, stop, step))
        return self.moved(length, lambda at: start + at % length * step + at // length * self.length)

    def moved(self, length: int, place: Callable[[Ints], Ints]) -> Indexed:
        """What has the element of ``place(index)`` at each index."""
        return Indexed(length, lambda at: self.at(place(at)), self.block)


@dataclass(slots=True)
class Positions:
    """Makes the twins of map datasets. ``rows``: elements of all sources met so far, numbered in this order."""

    rows: int = 0
    _first: dict[int, int] = field(default_factory=dict)

    def of(self, node: Any) -> Indexed:
        """The twin of one. Raises :class:`NoTwinError`."""
        make = _INDEXED.get(name_of(node))
        if make is None:
            raise NoTwinError(f"{type(node).__name__} may choose elements by what they hold")
        return make(self, node)

    def parent(self, node: Any) -> Indexed:
        return self.of(node._parent)

    def source(self, node: Any) -> Indexed:
        source = node._source
        if hasattr(type(source), "to_iter_dataset"):
            below = self.of(source)
            return below.moved(below.length, lambda at: at % below.length)
        return self._numbers(source)

    def number(self, node: Any) -> Indexed:
        if (node.start, node.step) != (0, 1):
            raise NoTwinError("a range that does not begin at 0 may be positions or rows")
        return self._numbers(node)

    def _numbers(self, source: Any) -> Indexed:
        """The numbers of a source's elements, after those of the sources that were met before it."""
        length = len(source)
        first = self._first.get(id(source))
        if first is None:
            first = self._first[id(source)] = self.rows
            self.rows += length
        return Indexed(length, lambda at: first + at % length)

    def sampled(self, node: Any) -> Indexed:
        """What a DataLoader's sampler gives to one of its shards."""
        sampler, every, offset = node._sampler, node._shard_options.shard_count, node._shard_options.shard_index
        below = self.parent(node)
        if name_of(sampler) == "SequentialSampler":
            return below.moved(len(node), lambda at: at * every + offset)
        if name_of(sampler) != "IndexSampler":
            raise NoTwinError(f"a {type(sampler).__name__} is no sampler of Grain's")
        keys, own = Positions().of(sampler._record_keys), sampler._shard_options.shard_count
        return Indexed(
            len(node),
            lambda at: below.at(np.asarray(keys.at((at * every + offset) // own))),
            min(below.block, keys.block),
        )

    def sharded(self, node: Any) -> Indexed:
        below, start, length = self.parent(node), node._start, len(node)
        return below.moved(length, lambda at: at // length * below.length + at % length + start)

    def shuffled(self, node: Any) -> Indexed:
        """All positions are one shuffle, by another seed in each epoch."""
        below, seed = self.parent(node), node._seed
        place = Checked(_in_groups(below.length, lambda epoch: (seed + epoch) % 2**32), node._shuffled_index)
        return below.moved(below.length, place)._replace(block=min(below.block, below.length))

    def shuffled_in_windows(self, node: Any) -> Indexed:
        below, seed, size = self.parent(node), node._seed, node._window_size
        place = Checked(_in_groups(size, lambda window: seed + window), node._shuffled_index)
        return below.moved(below.length, place)._replace(block=min(below.block, size))

    def part(self, node: Any) -> Indexed:
        below, length = self.parent(node), len(node)
        start, step, whole = node._start, node._step, node._parent_length
        place = Checked(lambda at: start + at % length * step + at // length * whole, node._sliced_index)
        return below.moved(length, place)

    def repeated(self, node: Any) -> Indexed:
        below = self.parent(node)
        if node._reseed_each_epoch:
            return below._replace(length=len(node))
        return below.moved(len(node), lambda at: at % below.length)

    def mixed(self, node: Any) -> Indexed:
        parts, choose = [self.of(parent) for parent in node._parents], node._selection_map

        def at(indices: Ints) -> Sequence[Element]:
            chosen = [choose[index] for index in indices.tolist()]
            which, places = (np.array(each, np.int64) for each in zip(*chosen, strict=True))
            elements: list[Element] = [None] * len(chosen)
            for number in np.unique(which).tolist():
                there = np.flatnonzero(which == number)
                found = elements_of(parts[number].at(places[there]))
                for index, element in zip(there.tolist(), found, strict=True):
                    elements[index] = element
            return elements

        # Asking where an element comes from is slow, and one by one.
        return Indexed(len(node), at, min(64, *(part.block for part in parts)))

    def batched(self, node: Any) -> Indexed:
        below, size, length, fill = self.parent(node), node._batch_size, len(node), fill_of(node)

        def at(indices: Ints) -> Sequence[Element]:
            epochs, inside = np.divmod(indices, length)
            first = epochs * below.length + inside * size
            sizes = np.minimum(below.length - inside * size, size)
            ends = np.cumsum(sizes)
            flat = np.arange(ends[-1]) + np.repeat(first - (ends - sizes), sizes)
            elements = list(elements_of(below.at(flat)))
            return [fill(elements[end - many : end]) for end, many in zip(ends.tolist(), sizes.tolist(), strict=True)]

        return Indexed(length, at, max(1, below.block // size))


def elements_of(found: Sequence[Element] | Ints) -> Sequence[Element]:
    """As they are given on: ids are ints."""
    return found.tolist() if isinstance(found, np.ndarray) else found


def name_of(node: Any) -> str:
    """The name of a class of Grain's; nothing for classes of others, which may do anything."""
    kind = type(node)
    return kind.__name__ if kind.__module__.partition(".")[0] == "grain" else ""


def fill_of(node: Any) -> Callable[[list[Element]], Element]:
    """The kind of list that stands for the node's batches."""
    made = node._batch_fn.func if isinstance(node._batch_fn, functools.partial) else node._batch_fn
    return Padded if getattr(made, "__name__", "") == "batch_and_pad" else list


def _in_groups(size: int, seed: Callable[[int], int]) -> Callable[[Ints], Ints]:
    """Each ``size`` positions shuffled among themselves, by the seed for their group's number."""

    def place(indices: Ints) -> Ints:
        groups, inside = np.divmod(indices, size)
        found = np.empty_like(indices)
        for group in np.unique(groups).tolist():
            of_group = groups == group
            found[of_group] = shuffled(inside[of_group], size, seed(group)) + group * size
        return found

    return place


_INDEXED: dict[str, Callable[[Positions, Any], Indexed]] = {
    "SourceMapDataset": Positions.source,
    "RangeMapDataset": Positions.number,
    "_SamplerMapDataset": Positions.sampled,
    "_ShardMapDataset": Positions.sharded,
    "ShuffleMapDataset": Positions.shuffled,
    "WindowShuffleMapDataset": Positions.shuffled_in_windows,
    "SliceMapDataset": Positions.part,
    "RepeatMapDataset": Positions.repeated,
    "MixedMapDataset": Positions.mixed,
    "ConcatenateMapDataset": Positions.mixed,
    "BatchMapDataset": Positions.batched,
    "MapMapDataset": Positions.parent,
    "RandomMapMapDataset": Positions.parent,
    "MapWithIndexMapDataset": Positions.parent,
    "_WithSeedMapDataset": Positions.parent,
}
