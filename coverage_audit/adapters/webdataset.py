"""WebDataset pipelines and loaders: samples are known by shard and key, followed through the pipeline.

Nothing is to be added to the pipeline or the samples. Wrap it when it is complete::

    data = ca.Dataset.open("shards/train-*.tar")
    dataset = wds.WebDataset("shards/train-{000..099}.tar", shardshuffle=100).shuffle(1000).decode("rgb")
    dataset = dataset.to_tuple("jpg", "cls").batched(64)
    loader = ca.wrap(wds.WebLoader(dataset, batch_size=None, num_workers=4), data, log="run.parquet")
    for images, labels in loader:
        step(images, labels)
    print(ca.audit("run.parquet").verdict)

A torch DataLoader over such a dataset is wrapped the same way. Where a stage of one's own makes new samples of those it
takes, what they are is not known, and said; then keep ``__key__`` and ``__url__`` in the samples (they are read), or
put them into the tuple and say where they are::

    dataset = dataset.compose(my_stage).to_tuple("x", "__url__", "__key__").batched(64)
    ca.wrap(dataset, data, ids=lambda batch: (list(zip(batch[1], batch[2])), batch[:1]))
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.adapters import torch_data
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.keras import make_callback, who_iterates
from coverage_audit.adapters.tellers import Telling
from coverage_audit.adapters.webdataset_stages import Box, Followed, is_pipeline
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown, count_rows
from coverage_audit.identity.ladder import Ladder
from coverage_audit.identity.names import Names
from coverage_audit.model.event import Found
from coverage_audit.recorder.proxy import LoaderProxy, wrap_loader
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

_set = object.__setattr__

_LOST = (
    "what the samples of the pipeline are is lost on their way: keep __key__ and __url__ in them, or put both into the "
    "tuple and give ids="
)


def takes(loader: Any) -> bool:
    """Whether this is a pipeline, a loader or a mix of webdataset. Raises what torch's DataLoader is refused with."""
    if issubclass(type(loader), LoaderProxy) or not is_pipeline(loader):
        return False
    source = _torch_loader(loader)
    return source is None or torch_data.takes(source)


def adapt(loader: Any, recorder: Recorder) -> Any:
    """The pipeline behind a proxy that records its iterations; whatever else it can do is the pipeline's own."""
    source = _torch_loader(loader)
    if source is not None and len(loader.pipeline) == 1:
        # What torch's loader is recorded to deliver is what this one delivers.
        if torch_data.adapt(source, recorder) is source:
            return wrap_loader(loader, recorder, who_iterates, make_callback, ThroughProxy)
        return wrap_loader(loader, recorder, who_iterates, make_callback)
    return wrap_loader(loader, recorder, who_iterates, make_callback, PipelineProxy)


def teller(dataset: Any, declared: Dataset | None) -> Telling | None:
    """For pipelines in a torch DataLoader: what each sample is, from within its workers."""
    if not is_pipeline(dataset) or declared is None:
        return None
    return Telling(PipelineTeller(), _Rows(Names(declared)).of_samples)


class PipelineTeller:
    """Follows a pipeline in the process that runs it."""

    def tagged(self, dataset: Any, _samples: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """As :meth:`~coverage_audit.adapters.tellers.Teller.tagged`."""
        followed = Followed(dataset)
        for sample in followed.samples():
            yield sample, followed.tag_of(sample)


class PipelineProxy(LoaderProxy):
    """Around a pipeline that is iterated in this process."""

    _audit_batches: _Batches | None = None

    def __iter__(self) -> Any:
        frame, stream, pipeline = sys._getframe(1), self._audit_stream, self._audit_inner
        way = stream.way
        if stream.writer is None or not isinstance(way, Ladder) or not way.made_of:
            return self._audit_open(frame, iter(pipeline))
        rows, source = _Rows(Names(way.made_of[0])), None
        if _torch_loader(pipeline) is not None:
            if self._audit_batches is None:
                _set(self, "_audit_batches", _Batches(pipeline.pipeline[0], stream))
            assert self._audit_batches is not None
            source = self._audit_batches.boxes
        followed = Followed(pipeline, source)
        iterator = self._audit_open(frame, followed.samples())
        _set(iterator, "_audit_stream", _FollowedStream(stream, followed, rows))
        return iterator

    def with_epoch(self, *args: Any, **options: Any) -> Any:
        """As the pipeline's own, which changes it and gives it back."""
        return self._audit_same(self._audit_inner.with_epoch(*args, **options))

    def repeat(self, *args: Any, **options: Any) -> Any:
        """As the pipeline's own, which changes it and gives it back."""
        return self._audit_same(self._audit_inner.repeat(*args, **options))

    def _audit_same(self, answer: Any) -> Any:
        return self if answer is self._audit_inner else answer


class ThroughProxy(PipelineProxy):
    """Around a WebLoader that is torch's loader and nothing more: that one is recorded."""

    def __iter__(self) -> Any:
        return iter(self._audit_inner)


class _FollowedStream(Stream):
    """Stands in for the stream of one iteration of a pipeline."""

    __slots__ = ("_followed", "_rows")

    def __init__(self, stream: Stream, followed: Followed, rows: _Rows) -> None:
        super().__init__(stream.writer, stream.split, stream.way)
        self._followed = followed
        self._rows = rows

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        tag = self._followed.tag_of(batch)
        self.put(segment, lambda: (Found.EXPLICIT, self._rows_of(tag, batch)), _worker_of(tag, worker))
        return batch

    def _rows_of(self, tag: Any, batch: Any) -> Answer | Identified:
        rows: Answer | Identified = self._rows.of_samples([tag])
        if not isinstance(rows, Unknown) or rows.reason != _LOST:
            return rows
        by = self._followed.lost_by
        return Unknown(count_rows(batch), rows.reason, "" if by is None else f"in the stage {by}")


class _Rows:
    """From tags to rows of the declared data."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def of_samples(self, tags: Sequence[Any]) -> Any:
        """The rows of samples, each a row or a batch; Unknown if one of them is not known."""
        flat: list[Any] = []
        for tag in tags:
            flat.extend(tag if isinstance(tag, list) else [tag])
        if any(tag is None for tag in flat):
            return Unknown(len(flat), _LOST)
        if flat and isinstance(flat[0], _Row):
            return np.fromiter((row.id for row in flat), np.int64, len(flat))
        return self._names.paired(flat)


class _Row:
    """The tag of a row that a loader delivered: its sample id, and which worker it came from."""

    __slots__ = ("id", "worker")

    def __init__(self, id_: int, worker: int) -> None:
        self.id = id_
        self.worker = worker


class _Batches(Stream):
    """Takes the place of the stream for torch's loader at the head of a pipeline: keeps what it says of a batch."""

    __slots__ = ("_loader", "_source", "_told")

    def __init__(self, source: Any, stream: Stream) -> None:
        super().__init__(stream.writer, stream.split, stream.way)
        self._source = source
        self._told: list[_Row] | None = None
        self._loader = torch_data.adapt(source, _StandIn(self))  # type: ignore[arg-type]

    def open(self, **_: Any) -> Segment:
        return Segment(-1)

    def end(self, segment: Segment, how: str, error: BaseException | None = None) -> None:
        """The end of the pipeline is what is recorded."""

    def take(self, _segment: Segment, batch: Any, _worker: int = -1) -> Any:
        self._told = None
        return batch

    def put(self, _segment: Segment, rows: Any, worker: int = -1) -> None:
        self._told = None
        if self.writer is not None:
            with self.writer.guard():
                ids = _listed(rows()[1], self)
                self._told = None if ids is None else [_Row(one, worker) for one in ids]

    def boxes(self, stage: Any) -> Iterator[Box] | None:
        """What the loader delivers, if it is the one that is asked for."""
        return self._deliver() if stage is self._source else None

    def _deliver(self) -> Iterator[Box]:
        for batch in self._loader:
            told, self._told = self._told, None
            yield Box(told, batch)


class _StandIn:
    """All that recording a DataLoader needs of a recorder."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream


def _listed(answer: Answer | Identified, stream: Stream) -> list[int] | None:
    rows = answer.rows if isinstance(answer, Identified) else answer
    if isinstance(rows, np.ndarray):
        return rows.tolist()  # type: ignore[no-any-return]
    if isinstance(rows, Run) and (rows.shard < 0 or stream.split.shards is not None):
        first = rows.row + (
            int(stream.split.shards.offsets[rows.shard]) if stream.split.shards and rows.shard >= 0 else 0
        )
        return list(range(first, first + rows.length))
    return None


def _worker_of(tag: Any, worker: int) -> int:
    """The loader worker that all rows of a batch came from; -1 where there is none, or several."""
    workers = {one.worker for one in (tag if isinstance(tag, list) else [tag]) if isinstance(one, _Row)}
    return workers.pop() if len(workers) == 1 else worker


def _torch_loader(pipeline: Any) -> Any:
    """torch's DataLoader at the head of a pipeline; None for any other head."""
    stages = getattr(pipeline, "pipeline", None)
    kind = loaded("torch.utils.data", "DataLoader")
    head = stages[0] if isinstance(stages, list) and stages else None
    return head if kind is not None and isinstance(head, kind) else None
