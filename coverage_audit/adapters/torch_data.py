"""torch's DataLoader, and torchdata's: the loader stays the very object it was, and what its iterators do is recorded.

Of a map-style dataset the sampler's indices are the rows (:mod:`~coverage_audit.adapters.torch_rows`), told in this
process, with nothing added in workers; of any other the worker says what it saw
(:mod:`~coverage_audit.adapters.torch_inband`). ``recorder`` and ``callback()`` can be had from a recorded loader, which
does not carry them: a copy of it, deep, pickled or made anew from its parts, records nothing.

The ``state_dict()`` of a loader that can be resumed is a checkpoint, and an iteration that goes on from one is restored
from it: states are saved and loaded with the weights. Nothing is added to a state; it is known again by its values.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coverage_audit.adapters import torch_iterators
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.plain import wrap_plain
from coverage_audit.adapters.tellers import teller_for
from coverage_audit.adapters.torch_inband import Looker, Tagging, Tallied, Tally
from coverage_audit.adapters.torch_order import FileOrder
from coverage_audit.adapters.torch_rows import positions_of
from coverage_audit.adapters.torch_state import tag_of
from coverage_audit.adapters.torch_watch import Plan, Watch
from coverage_audit.errors import UsageError
from coverage_audit.identity.ladder import Ladder
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.writer import warn

_MODULE = "torch.utils.data.dataloader"


@dataclass(frozen=True, slots=True)
class Recorded:
    """``looker``: looks into batches where they are made; None where that is not needed."""

    loader: weakref.ref[Any]
    recorder: Recorder
    plan: Plan
    looker: Looker | None


_recorded: dict[int, Recorded] = {}
"""By the ids of their loaders, for as long as these live."""
_lock = threading.RLock()
_moved: list[str] | None = None
"""What was found when the hooks were to be put in place; None before."""
_with_makers: weakref.WeakSet[type] = weakref.WeakSet()


def takes(loader: Any) -> bool:
    """Whether this is a DataLoader. Raises :class:`UsageError` (wrapped-twice) for one that is recorded already."""
    kind = loaded(_MODULE, "DataLoader")
    if kind is None or not isinstance(loader, kind):
        return False
    if recorded(loader) is not None:
        raise UsageError("this DataLoader is recorded already: wrap it once", slug="wrapped-twice")
    # The proxy of one whose hooks had moved is an instance of DataLoader too, as far as isinstance goes.
    return issubclass(type(loader), kind)


def adapt(loader: Any, recorder: Recorder) -> Any:
    """Record this loader from its next ``iter()`` on, and give it back; a proxy of it where the hooks do not fit."""
    moved = _install()
    if moved:
        warn(
            f"this version of torch ({sys.modules['torch'].__version__}) works otherwise than those that are known "
            f"({', '.join(moved)}): batches are recorded by what they hold, without their workers"
        )
        return wrap_plain(loader, recorder)
    plan, looker = _plan(loader, recorder)
    key = id(loader)
    with _lock:
        _recorded[key] = Recorded(weakref.ref(loader, lambda _: _recorded.pop(key, None)), recorder, plan, looker)
    _hear_makers(type(loader))
    _check_rank(loader, recorder)
    made = getattr(loader, "_iterator", None)
    if made is not None and torch_iterators.watch_of(made) is None:
        # That of persistent workers: used before, it begins anew with the next iter(); just made, it is that iter().
        unused = bool(getattr(loader, "_initial_iter_for_state_dict", False))
        torch_iterators.adopt(made, Watch(plan, building=not unused))
    return loader


def recorded(loader: Any) -> Recorded | None:
    """What is known of a recorded loader; None for any other."""
    known = _recorded.get(id(loader))
    return known if known is not None and known.loader() is loader else None


def _plan(loader: Any, recorder: Recorder) -> tuple[Plan, Looker | None]:
    """How this loader's rows are known: as the user says, by its indices, or in the process that makes its batches."""
    stream, torch = recorder.stream, sys.modules["torch"]
    collating = torch.utils.data._utils.collate
    plan = Plan(
        stream,
        batched=loader.batch_sampler is not None,
        trusted=loader.collate_fn in (collating.default_collate, collating.default_convert),
    )
    way = stream.way
    if not isinstance(way, Ladder) or way.made_of is None or stream.split.shards is None:
        return plan, None
    dataset, plan.verify_every, _ = way.made_of
    if isinstance(loader.dataset, torch.utils.data.IterableDataset):
        plan.telling = teller_for(loader.dataset, dataset)
    else:
        positions = positions_of(loader.dataset, stream.split.shards.n_ids, dataset)
        if isinstance(positions, str):
            plan.reason = positions
        else:
            plan.positions = positions
    if all(path is None for path in dataset.paths):
        return plan, None
    if plan.positions is not None:
        plan.files = FileOrder(dataset)
        return plan, None
    return plan, Looker(way, *way.made_of)


def _install() -> list[str]:
    """Put the hooks in place, once; returns what is not as they need it, and then none is put."""
    global _moved  # noqa: PLW0603 - there is one torch
    with _lock:
        if _moved is None:
            _moved = torch_iterators.moved_hooks()
            if not _moved:
                torch_iterators.install(_prepare)
                kind = sys.modules[_MODULE].DataLoader
                for name, told in (("recorder", _recorder_of), ("callback", _callback_of)):
                    setattr(kind, name, _OfRecorded(name, told))
        return _moved


def _prepare(iterator: Any, loader: Any) -> Watch | None:
    """A loader makes an iterator: how to watch it, if it is recorded."""
    known = recorded(loader)
    if known is None:
        return None
    try:
        return _watch(known, iterator, loader)
    except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
        if known.recorder.stream.writer is not None:
            known.recorder.stream.writer.fail(error)
        return None


def _watch(known: Recorded, iterator: Any, loader: Any) -> Watch:
    plan = known.plan
    if known.looker is not None or plan.telling is not None:
        tally = None
        if plan.telling is not None:
            tally = Tally()
            iterator._dataset = Tallied(iterator._dataset, plan.telling.teller, tally)
        iterator._collate_fn = Tagging(iterator._collate_fn, known.looker, tally, batched=plan.batched)
    goes_on = plan.telling is not None and plan.telling.goes_on(loader)
    state = getattr(loader, "next_iter_state", None)
    if state is not None:
        tag = tag_of(state)
        if tag is None:
            goes_on = True
        else:
            known.recorder.restored(tag)  # from here on, its checkpoint says in which pass it goes on
    return Watch(plan, resumed=goes_on, building=state is not None)


def _hear_makers(kind: type) -> None:
    """Where a loader can be resumed, know when its state is taken, and when an iterator has got to where it goes on."""
    base = sys.modules[_MODULE].DataLoader
    for owner in kind.__mro__:
        if owner is not base and issubclass(owner, base) and "_get_iterator" in vars(owner):
            with _lock:
                if owner not in _with_makers:
                    _with_makers.add(owner)
                    setattr(owner, "_get_iterator", _telling_when_made(vars(owner)["_get_iterator"]))  # noqa: B010
                    if "state_dict" in vars(owner):
                        setattr(owner, "state_dict", _telling_when_saved(vars(owner)["state_dict"]))  # noqa: B010


def _telling_when_made(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def _get_iterator(self: Any) -> Any:
        iterator = original(self)
        watch = torch_iterators.watch_of(iterator)
        if watch is not None:
            watch.building = False
        return iterator

    return _get_iterator


def _telling_when_saved(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def state_dict(self: Any) -> Any:
        state = original(self)
        known = recorded(self)
        if known is not None:
            tag = tag_of(state)
            if tag is not None:
                known.recorder.checkpoint(tag)
        return state

    return state_dict


def _check_rank(loader: Any, recorder: Recorder) -> None:
    """A sampler that knows which reader it is of how many must not contradict what is recorded."""
    writer = recorder.stream.writer
    if writer is None:
        return
    for sampler in (loader.sampler, getattr(loader.batch_sampler, "sampler", None)):
        size, index = getattr(sampler, "num_replicas", None), getattr(sampler, "rank", None)
        if isinstance(size, int) and isinstance(index, int):
            place = writer.place
            if (index, size) != (place.rank, place.world_size):
                warn(
                    f"the sampler reads as {index} of {size}, what is recorded is {place.rank} of "
                    f"{place.world_size}: give data_parallel=({index}, {size})"
                )
            return


class _OfRecorded:
    """An attribute that only recorded loaders have; one of the user's own comes before it."""

    def __init__(self, name: str, told: Callable[[Recorded], Any]) -> None:
        self._name = name
        self._told = told

    def __get__(self, loader: Any, kind: type | None = None) -> Any:
        known = None if loader is None else recorded(loader)
        if known is None:
            name = getattr(kind, "__name__", "DataLoader")
            raise AttributeError(f"{name!r} object has no attribute {self._name!r}", name=self._name, obj=loader)
        return self._told(known)


def _recorder_of(known: Recorded) -> Recorder:
    return known.recorder


def _callback_of(_: Recorded) -> Callable[[], Any]:
    def callback() -> Any:
        """A Keras callback for this loader."""
        raise UsageError(
            "callback() of a DataLoader: Keras trains on generators, PyDatasets and tf.data datasets; wrap "
            "(batch for batch in loader), or call .recorder.step() in a loop of your own",
            slug="not-a-generator",
        )

    return callback
