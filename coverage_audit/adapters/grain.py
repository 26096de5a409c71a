"""Grain's DataLoader, MapDataset and IterDataset, recorded as they are iterated, with the elements of each batch.

::

    loader = ca.wrap(
        grain.DataLoader(data_source=source, sampler=sampler, operations=[grain.transforms.Batch(32)], worker_count=2),
        ca.Dataset.of(len(source)),
    )
    for batch in loader:
        train(batch)

Wrap the end of the pipeline: what is made from a recorded pipeline by ``map`` or ``batch`` is not recorded. The rows
are told from indices (:mod:`~coverage_audit.adapters.grain_ids`): elements of the source are the rows of the declared
data, in its order. Where that cannot be, for a pipeline that filters or packs, ``ids=`` says where a batch has its ids.
``set_state`` of a recorded iterator is followed; the iterator itself is the framework's, never touched but to read
where it stands after each batch. Worker processes appear with their numbers.
"""

from __future__ import annotations

from typing import Any

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.grain_follower import Follower, Plan
from coverage_audit.adapters.keras import make_callback, who_iterates
from coverage_audit.errors import UsageError
from coverage_audit.recorder.proxy import Delegate, LoaderProxy
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment

_set = object.__setattr__


def takes(loader: Any) -> bool:
    """Whether this is Grain's. Raises :class:`UsageError` (wrapped-twice) for an iterator of what is recorded."""
    if type(loader) is GrainIterator:
        raise UsageError("the iterator is recorded already: iterate it as it is", slug="wrapped-twice")
    kinds = tuple(filter(None, (loaded("grain", name) for name in _KINDS)))
    # A proxy of one is an instance of it too, as far as isinstance goes.
    return issubclass(type(loader), kinds)


_KINDS = ("DataLoader", "MapDataset", "IterDataset", "DataLoaderIterator")


def adapt(loader: Any, recorder: Recorder) -> Any:
    """A proxy of the loader; of a DataLoader's iterator, from where it stands."""
    made_by = getattr(loader, "_data_loader", None)
    if made_by is not None:
        return GrainIterator(loader, Plan(made_by, recorder), recorder, begun=True)
    kind = RecordedMap if hasattr(type(loader), "__getitem__") else RecordedGrain
    return kind(loader, recorder, Plan(loader, recorder))


class RecordedGrain(LoaderProxy):
    """Around a DataLoader or an IterDataset."""

    _audit_plan: Plan

    def __init__(self, inner: Any, recorder: Recorder, plan: Plan) -> None:
        super().__init__(inner, recorder, who_iterates, make_callback)
        _set(self, "_audit_plan", plan)

    def __iter__(self) -> Any:
        return GrainIterator(iter(self._audit_inner), self._audit_plan, self._audit_recorder)


class RecordedMap(RecordedGrain):
    """Around a MapDataset: elements can be had by position, unrecorded."""

    def __len__(self) -> int:
        return len(self._audit_inner)

    def __getitem__(self, index: Any) -> Any:
        return self._audit_inner[index]


class GrainIterator(Delegate):
    """One iteration, and after each ``set_state`` another one. ``begun``: it may stand anywhere already."""

    _audit_inner: Any
    _audit_recorder: Recorder
    _audit_follower: Follower
    _audit_segment: Segment | None

    def __init__(self, inner: Any, plan: Plan, recorder: Recorder, *, begun: bool = False) -> None:
        _set(self, "_audit_inner", inner)
        _set(self, "_audit_recorder", recorder)
        _set(self, "_audit_segment", None)
        _set(self, "_audit_follower", Follower(inner, plan, recorder.stream, begun=begun))

    @property
    def recorder(self) -> Recorder:
        """As :attr:`~coverage_audit.recorder.proxy.LoaderProxy.recorder`."""
        return self._audit_recorder

    def callback(self) -> Any:
        """As :meth:`~coverage_audit.recorder.proxy.LoaderProxy.callback`."""
        return make_callback(self)  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        follower, stream = self._audit_follower, self._audit_recorder.stream
        segment = self._audit_segment
        if segment is None:
            segment = stream.open(told_pass=follower.begins_pass())
            _set(self, "_audit_segment", segment)
        try:
            batch = next(self._audit_inner)
        except StopIteration:
            stream.end(segment, "exhausted")
            raise
        except BaseException as error:
            follower.lose("an element raised an exception, and Grain does not say which comes next")
            stream.end(segment, "failed", error)
            raise
        return follower.record(segment, batch)

    def set_state(self, state: Any) -> None:
        """Go to where ``state`` was taken; what comes then is recorded as an iteration that goes on from there."""
        self._audit_inner.set_state(state)
        if self._audit_segment is not None:
            self._audit_recorder.stream.end(self._audit_segment, "closed")
            _set(self, "_audit_segment", None)
        self._audit_follower.find()

    def close(self) -> None:
        """Closes Grain's iterator."""
        self._audit_inner.close()
        if self._audit_segment is not None:
            self._audit_recorder.stream.end(self._audit_segment, "closed")
