"""torch's DataLoader, and torchdata's: the loader stays the very object it was, and what its iterators do is recorded.

Of a map-style dataset the sampler's indices are the rows (:mod:`~coverage_audit.adapters.torch_rows`), told in this
process, with nothing added in workers; of any other the worker says what it saw
(:mod:`~coverage_audit.adapters.torch_inband`). ``recorder`` and ``callback()`` can be had from a recorded loader, which
does not carry them: a copy of it, deep, pickled or made anew from its parts, records nothing.

The ``state_dict()`` of a loader that can be resumed is a checkpoint, and an iteration that goes on from one is restored
from it: states are saved and loaded with the weights. Nothing is added to a state; it is known again by its values.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coverage_audit.adapters import torch_iterators, torch_plan, torch_resuming, torch_trainers
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.keras_dataloader import feed_of
from coverage_audit.adapters.plain import wrap_plain
from coverage_audit.adapters.torch_held import HeldStream
from coverage_audit.adapters.torch_inband import Looker, Tagging, Tallied, Tally
from coverage_audit.adapters.torch_notes import Notes
from coverage_audit.adapters.torch_plan import Plan
from coverage_audit.adapters.torch_rows import Positions
from coverage_audit.adapters.torch_standin import stand_in
from coverage_audit.adapters.torch_state import tag_of
from coverage_audit.adapters.torch_watch import Watch
from coverage_audit.errors import UsageError
from coverage_audit.locks import new_lock
from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.stream import Stream
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
made_of: weakref.WeakKeyDictionary[Any, Recorded] = weakref.WeakKeyDictionary()
"""Batch samplers that were made of a recorded loader's, for a loader that is to be recorded too."""
_lock = new_lock(sys.modules[__name__])
_moved: list[str] | None = None
"""What was found when the hooks were to be put in place; None before."""


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
    plan = _register(loader, recorder, recorder.stream)
    if isinstance(recorder, Recorder):
        plan.feed = feed_of(
            loader, recorder.stream, sized=not torch_plan.is_iterable(loader), unseen=torch_plan.own_iteration(loader)
        )
    torch_trainers.install()
    if loader.num_workers:
        recorder.stream.mark(MarkKind.WORKERS, count=int(loader.num_workers))
    _check_rank(loader, recorder)
    _adopt_made(loader)
    return loader


def take_over(loader: Any, recorder: Recorder, *, held: bool = False) -> None:
    """Record a loader that a trainer made of a recorded one, or is to hand out the batches of.

    ``held``: it pulls others than it hands out, see :mod:`~coverage_audit.adapters.torch_held`.
    """
    if _install() or recorded(loader) is not None:
        return
    try:
        _register(loader, recorder, HeldStream(recorder.stream) if held else recorder.stream)
        _adopt_made(loader)
        _check_rank(loader, recorder)
    except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
        if recorder.stream.writer is not None:
            recorder.stream.writer.fail(error)


def _register(loader: Any, recorder: Recorder, stream: Stream) -> Plan:
    plan, looker = torch_plan.plan_of(loader, stream)
    key = id(loader)
    with _lock:
        _recorded[key] = Recorded(weakref.ref(loader, lambda _: _recorded.pop(key, None)), recorder, plan, looker)
    torch_resuming.hear_makers(type(loader), _saved, _lock)
    return plan


def _adopt_made(loader: Any) -> None:
    """An iterator that the loader has already. That of persistent workers, used before, begins anew with the next
    iter(); one just made is that iter().
    """
    made = getattr(loader, "_iterator", None)
    known = recorded(loader)
    if made is not None and known is not None and torch_iterators.watch_of(made) is None:
        unused = bool(getattr(loader, "_initial_iter_for_state_dict", False))
        watch = _watch(known, loader)
        watch.building = not unused
        torch_iterators.adopt(made, watch)


def recorded(loader: Any) -> Recorded | None:
    """What is known of a recorded loader; None for any other."""
    known = _recorded.get(id(loader))
    return known if known is not None and known.loader() is loader else None


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


def _prepare(iterator: Any, loader: Any) -> None:
    """A loader makes an iterator: watch it, if the loader is recorded."""
    known = recorded(loader)
    try:
        sampler = getattr(loader, "batch_sampler", None)
        if known is None and sampler is not None and (source := made_of.get(sampler)) is not None:
            take_over(loader, source.recorder)
            known = recorded(loader)
        if known is None:
            return
        torch_trainers.install()
        watch = _watch(known, loader)
        torch_iterators.adopt(iterator, watch)
        _tag(known, iterator, watch)
    except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
        if known is not None and known.recorder.stream.writer is not None:
            known.recorder.stream.writer.fail(error)


def _watch(known: Recorded, loader: Any) -> Watch:
    plan = known.plan
    # Each time anew: Subset.indices may be others by now. Workers have the dataset as it is when they are made.
    positions = torch_plan.positions_now(loader, plan)
    if isinstance(positions, str):
        plan.reason = positions
    goes_on = plan.telling is not None and plan.telling.goes_on(loader)
    state = getattr(loader, "next_iter_state", None)
    if state is not None and not isinstance(plan.stream, HeldStream):
        tag = tag_of(state)
        if tag is None:
            goes_on = True
        else:
            known.recorder.restored(tag)  # from here on, its checkpoint says in which pass it goes on
    return Watch(
        plan,
        positions if isinstance(positions, Positions) else None,
        trusted=torch_plan.drops_nothing(loader),
        resumed=goes_on,
        building=state is not None,
    )


def _saved(loader: Any, state: Any) -> None:
    """The state of a loader was taken."""
    known = recorded(loader)
    if known is not None and not isinstance(known.plan.stream, HeldStream):  # else its trainer saves states
        tag = tag_of(state)
        if tag is not None:
            known.recorder.checkpoint(tag)


def _tag(known: Recorded, iterator: Any, watch: Watch) -> None:
    """Have the process that makes its batches say what it knows of them, where that is of use."""
    plan, telling = known.plan, known.plan.telling
    tally: Tally | Notes | None = None
    if telling is not None:
        tally = Tally()
        iterator._dataset = Tallied(iterator._dataset, telling.teller, tally)
    elif plan.asks_itself is not None and watch.positions is not None:
        tally = Notes([base for base, _ in watch.positions.bases])
        iterator._dataset = stand_in(iterator._dataset, tally)
    if known.looker is not None or tally is not None:
        iterator._collate_fn = Tagging(iterator._collate_fn, known.looker, tally, batched=plan.batched)


def _check_rank(loader: Any, recorder: Recorder) -> None:
    """A sampler that knows which reader it is of how many must not contradict what is recorded."""
    writer = recorder.stream.writer
    if writer is None:
        return
    for sampler in (loader.sampler, getattr(loader.batch_sampler, "sampler", None), loader.batch_sampler):
        size, index = getattr(sampler, "num_replicas", None), getattr(sampler, "rank", None)
        if size is None:
            size, index = getattr(sampler, "num_processes", None), getattr(sampler, "process_index", None)
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


def _callback_of(known: Recorded) -> Callable[[], Any]:
    feed = known.plan.feed
    if feed is not None:
        return feed.callback

    def callback() -> Any:
        """A Keras callback for this loader."""
        raise UsageError(
            "callback() of a DataLoader that a trainer made: give Keras the loader itself, wrapped, or call "
            ".recorder.step() in a loop of your own",
            slug="not-a-generator",
        )

    return callback
