"""What each sample of a WebDataset pipeline is, followed through its stages without a trace in the samples.

A pipeline is a chain of generators. Each is run as it is, over samples in *boxes* or with their boxes taken off for it,
by what the stage is known to do (filters of webdataset 1.0): move samples (shuffle), give one or none for each it takes
(map, to_tuple, select), put them together (batched) or apart (unbatched). A stage that is not known passes on what it
got, or dicts that still have ``__key__`` and ``__url__``; of anything else it gives, nothing is known. No sample is
changed, none is pulled before its time.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from coverage_audit.identity.batches import possible_lengths

Tag = Any
"""What a sample is: (url, key), or what the source of the boxes says; a list of these for a batch; None: not known."""

Open = Callable[[Any], "Iterator[Box] | None"]
"""The boxes of a source of samples that is no pipeline, such as a loader; None for what it does not know."""

_ONE_BY_ONE = (
    *("_map", "_decode", "_map_dict", "_to_tuple", "_map_tuple", "_select", "_rsample", "_rename", "_extract_keys"),
    *("_rename_keys", "_xdecode", "_associate", "_info", "_log_keys"),
)
_MOVING = ("_shuffle",)
_APART = ("_unbatched", "_unlisted")


class Box:
    """A sample and what it is."""

    __slots__ = ("sample", "tag")

    def __init__(self, tag: Tag, sample: Any) -> None:
        self.tag = tag
        self.sample = sample


class Followed:
    """One iteration of ``pipeline``: :meth:`samples` are those it gives by itself, and :meth:`tag_of` says what the
    last one is. ``source``: boxes of loaders in the place of its first stage.

    ``lost_by``: the first stage that gave a sample of which nothing is known.
    """

    def __init__(self, pipeline: Any, source: Open | None = None) -> None:
        self._pipeline = pipeline
        self._source = source
        self._last: Box | None = None
        self.lost_by: str | None = None

    def samples(self) -> Iterator[Any]:
        """As ``iter(pipeline)``. Raises what that raises."""
        twin = copy.copy(self._pipeline)
        if _is_mix(twin):
            twin.datasets = [_Boxed(part, self) for part in twin.datasets]
            return self._opened(iter(twin))
        # The pipeline's own way of iterating, over a single stage that has all of them inside.
        twin.pipeline = [lambda: self._opened(self._through_all())]
        return iter(twin)

    def tag_of(self, sample: Any) -> Tag:
        """What this sample is, which was given last."""
        last = self._last
        self._last = None
        return last.tag if last is not None and last.sample is sample else None

    def _opened(self, boxes: Iterable[Box]) -> Iterator[Any]:
        for box in boxes:
            self._last = box
            yield box.sample

    def _through_all(self) -> Iterator[Box]:
        first, *rest = self._pipeline.pipeline
        boxes = self._first(first)
        for stage in rest:
            boxes = self._through(stage, boxes)
        return boxes

    def _first(self, stage: Any) -> Iterator[Box]:
        boxes = None if self._source is None else self._source(stage)
        if boxes is not None:
            return boxes
        if is_pipeline(stage):
            return iter(_Boxed(stage, self))
        return self._read(stage, self._pipeline.invoke(stage), None)

    def _through(self, stage: Any, boxes: Iterator[Box]) -> Iterator[Box]:
        name = _name(stage)
        if name in _MOVING or _is_moving(stage):
            return iter(self._pipeline.invoke(stage, boxes))
        if name == "_batched":
            return iter(_batch_boxes(stage, boxes))
        feed = _Feed(boxes)
        given = self._pipeline.invoke(stage, iter(feed))
        if name in _ONE_BY_ONE:
            return (Box(_of_as_many(feed.tag, sample), sample) for sample in given)
        if name in _APART:
            return (Box(feed.next_part(), sample) for sample in given)
        return self._read(stage, given, feed)

    def _read(self, stage: Any, samples: Iterable[Any], feed: _Feed | None) -> Iterator[Box]:
        for sample in samples:
            is_last = feed is not None and feed.last is sample and type(sample) not in _SHARED
            tag = feed.tag if feed is not None and is_last else read_tag(sample)
            if tag is None and feed is not None and feed.tag is not None and self.lost_by is None:
                self.lost_by = str(getattr(stage, "__name__", None) or type(stage).__name__)
            yield Box(tag, sample)


def is_pipeline(thing: Any) -> bool:
    """Whether this is a WebDataset pipeline, or a mix of them, whose insides are as they were when this was written."""
    kind = getattr(sys.modules.get("webdataset"), "DataPipeline", None)
    if _is_mix(thing):
        return isinstance(getattr(thing, "datasets", None), list)
    parts = ("pipeline", "invoke", "iterator1", "repetitions")
    return kind is not None and isinstance(thing, kind) and all(hasattr(thing, name) for name in parts)


def read_tag(sample: Any) -> Tag:
    """(url, key) of a sample that still says so, or a list of these of a batch; None for anything else."""
    if not isinstance(sample, Mapping):
        return None
    url, key = sample.get("__url__"), sample.get("__key__")
    if isinstance(url, str) and isinstance(key, str):
        return url, key
    if isinstance(url, list | tuple) and isinstance(key, list | tuple) and len(url) == len(key):
        pairs = list(zip(url, key, strict=True))
        return pairs if all(isinstance(u, str) and isinstance(k, str) for u, k in pairs) else None
    return None


class _Boxed:
    """Iterates one source of samples as boxes; in the place of a dataset in a mix, or of a nested pipeline."""

    def __init__(self, source: Any, outer: Followed) -> None:
        self._source = source
        self._outer = outer

    def __iter__(self) -> Iterator[Box]:
        if not is_pipeline(self._source):
            return self._outer._read(self._source, iter(self._source), None)
        return self._follow()

    def _follow(self) -> Iterator[Box]:
        inner = Followed(self._source, self._outer._source)
        for sample in inner.samples():
            yield Box(inner.tag_of(sample), sample)


class _Feed:
    """Samples out of boxes for a stage that is not to see them, and what was in the box it took last."""

    def __init__(self, boxes: Iterator[Box]) -> None:
        self._boxes = boxes
        self._part = 0
        self.tag: Tag = None
        self.last: Any = _NOTHING

    def __iter__(self) -> Iterator[Any]:
        for box in self._boxes:
            self.tag, self.last, self._part = box.tag, box.sample, 0
            yield box.sample

    def next_part(self) -> Tag:
        """The tag of the next sample out of the batch that was taken last."""
        at, tags = self._part, self.tag
        self._part = at + 1
        return tags[at] if isinstance(tags, list) and at < len(tags) else None


_NOTHING = object()

_SHARED = (int, bool, float, str, bytes, type(None))
"""Of these, two samples can be one object."""


def _of_as_many(tag: Tag, sample: Any) -> Tag:
    """The tag of a sample, unless it is that of a batch of another number of rows: nobody knows which were left out."""
    if not isinstance(tag, list):
        return tag
    lengths = possible_lengths(sample)
    return tag if not lengths or len(tag) in lengths else None


def _batch_boxes(stage: Any, boxes: Iterator[Box]) -> Iterable[Box]:
    """The stage's own batches, of boxes; what puts a batch together gets the samples."""
    bound = inspect.signature(stage.f).bind(boxes, *stage.args, **stage.kw)
    bound.apply_defaults()
    collate = bound.arguments["collation_fn"]

    def together(batch: Sequence[Box]) -> Box:
        samples = [box.sample for box in batch]
        made = samples if collate is None else collate(samples)
        return Box(_of_as_many([box.tag for box in batch], made), made)

    bound.arguments["collation_fn"] = together
    batches: Iterable[Box] = stage.f(*bound.args, **bound.kwargs)
    return batches


def _name(stage: Any) -> str:
    """The name of a filter of webdataset itself; "" for anything else."""
    filters = sys.modules.get("webdataset.filters")
    function: Any = getattr(stage, "f", None)
    if filters is None or type(stage) is not getattr(filters, "FilterFunction", None):
        return ""
    name = getattr(function, "__name__", "")
    if function is None or getattr(filters, name, None) is not function:
        return ""
    return "" if name == "_batched" and "collation_fn" not in inspect.signature(filters._batched).parameters else name


def _is_moving(stage: Any) -> bool:
    """detshuffle, slices, and the check that there are samples at all: they look at no sample."""
    filters, compat = sys.modules.get("webdataset.filters"), sys.modules.get("webdataset.compat")
    if type(stage) is getattr(filters, "detshuffle", None):
        return True
    if type(stage) is getattr(filters, "FilterFunction", None) and stage.f is itertools.islice:
        return True
    return stage is getattr(compat, "check_empty", _NOTHING)


def _is_mix(thing: Any) -> bool:
    mixes = sys.modules.get("webdataset.mix")
    kinds = tuple(k for k in (getattr(mixes, n, None) for n in ("RandomMix", "RoundRobin")) if isinstance(k, type))
    return type(thing) in kinds
