"""What only the process that makes a batch can know of it, carried to the process that trains.

The iterator of a recorded loader is given :class:`Tagging` in place of its collate function (and :class:`Tallied` in
place of an iterable dataset whose samples say what they are). The loader itself keeps its own. Each batch then arrives
as a :class:`Tagged`, which the iterator takes apart before anybody sees it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from coverage_audit.adapters.tellers import Teller
from coverage_audit.adapters.torch_notes import Notes
from coverage_audit.identity.batches import Identified, Way, held_values
from coverage_audit.identity.parts import rows_listed
from coverage_audit.identity.provenance import shadow_of
from coverage_audit.recorder import reading
from coverage_audit.recorder.follow import FOLLOW
from coverage_audit.recorder.ways import choose_way
from coverage_audit.sources.dataset import Dataset

_set = object.__setattr__


class Tagged:
    """``batch``: as the loader makes it. ``told``: its rows, None where nobody looked. ``tags``: of its samples."""

    __slots__ = ("batch", "tags", "told")

    def __init__(self, batch: Any, told: Identified | None, tags: list[Any] | None) -> None:
        self.batch = batch
        self.told = told
        self.tags = tags

    def pin_memory(self) -> Tagged:
        """Called by torch in place of its own walk through a batch; the batch is pinned as torch would."""
        self.batch = sys.modules["torch.utils.data._utils.pin_memory"].pin_memory(self.batch)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Tagged, (self.batch, self.told, self.tags)


class Tally:
    """The tags of the samples taken since the last batch, in the process that takes them."""

    def __init__(self) -> None:
        self._tags: list[Any] = []

    def add(self, tag: Any) -> None:
        self._tags.append(tag)

    def take(self, samples: Sequence[Any]) -> list[Any]:
        """The tags of the last samples, as many as these. What was taken before them never got into a batch: the
        dataset failed in the middle of one."""
        tags, self._tags = self._tags[-len(samples) :] if samples else [], []
        return tags

    def clear(self) -> None:
        self._tags = []


class Tallied:
    """An iterable dataset that notes the tag of each sample it gives; in everything else the dataset itself.

    Loader workers hand it to the user's ``worker_init_fn``, so what is set on it is set on the dataset.
    """

    _audit_inner: Any
    _audit_teller: Teller
    _audit_tally: Tally

    def __init__(self, inner: Any, teller: Teller, tally: Tally) -> None:
        _set(self, "_audit_inner", inner)
        _set(self, "_audit_teller", teller)
        _set(self, "_audit_tally", tally)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._audit_inner.__class__

    def __reduce__(self) -> tuple[Any, ...]:
        return Tallied, (self._audit_inner, self._audit_teller, self._audit_tally)

    def __iter__(self) -> Iterator[Any]:
        self._audit_tally.clear()
        samples = iter(self._audit_inner)
        pairs = self._audit_teller.tagged(self._audit_inner, samples)
        # What keeps its state in the dataset itself is asked for it there (torchdata).
        state = self if samples is self._audit_inner else samples
        return TalliedIterator(pairs, self._audit_tally, state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._audit_inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._audit_inner, name, value)

    def __len__(self) -> int:
        return len(self._audit_inner)

    def __getitem__(self, at: Any) -> Any:
        return self._audit_inner[at]

    def __repr__(self) -> str:
        return repr(self._audit_inner)


class TalliedIterator:
    """The samples of (sample, tag) pairs; ``state``: what is asked for anything else."""

    def __init__(self, pairs: Iterator[tuple[Any, Any]], tally: Tally, state: Any) -> None:
        self._audit_pairs = pairs
        self._audit_tally = tally
        self._audit_state = state

    def __iter__(self) -> TalliedIterator:
        return self

    def __next__(self) -> Any:
        sample, tag = next(self._audit_pairs)
        self._audit_tally.add(tag)
        return sample

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_audit_state"], name)


class Looker:
    """A way from batches to rows in whatever process it is used in: the recorder's own where that is, else one made
    there, of the same data."""

    def __init__(self, way: Way | None, dataset: Dataset, verify_every: int, offset: int) -> None:
        self._way = way
        self._of = (dataset, verify_every, offset)
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, self._of

    def identify(self, batch: Any, hints: tuple[Any, ...]) -> tuple[Any, Identified]:
        """As :meth:`Way.identify`; ``hints``: arrays that may remember the rows of the batch."""
        if self._way is None or self._process != os.getpid():
            self._process = os.getpid()
            self._way = choose_way(None, "auto", *self._of)[0]
        parts, told = self._way.identify((*hints, batch))
        assert isinstance(told, Identified)
        return parts[-1], told


def _elsewhere(dataset: Dataset, verify_every: int, offset: int) -> Looker:
    """In a spawned worker: what it reads from now on remembers its rows."""
    if not FOLLOW.active:
        reading.install()
        reading.watch(dataset)
    return Looker(None, dataset, verify_every, offset)


class Tagging:
    """A collate function that says what it made a batch of. ``looker``: None where only tags are wanted."""

    def __init__(self, collate: Any, looker: Looker | None, tally: Tally | Notes | None, *, batched: bool) -> None:
        self._collate = collate
        self._looker = looker
        self._tally = tally
        self._batched = batched

    def __call__(self, samples: Any) -> Tagged:
        tags = None if self._tally is None else self._tally.take(samples if self._batched else [samples])
        hints = self._hints(samples)  # before the user's function may change the list
        batch = self._collate(samples)
        told: Identified | None = None
        if self._looker is not None:
            try:
                batch, told = self._looker.identify(batch, hints)
            except Exception as error:  # noqa: BLE001 - a batch goes on, whatever fails in looking at it
                FOLLOW.follow(None, _raising(error))
        return Tagged(batch, told, tags)

    def _hints(self, samples: Any) -> tuple[Any, ...]:
        if self._looker is None:
            return ()
        try:
            return _hints(samples, batched=self._batched)
        except Exception:  # noqa: BLE001 - lists of the user's own may raise anything, and hints are only hints
            return ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._collate, name)


def _hints(samples: Any, *, batched: bool) -> tuple[Any, ...]:
    """The parts of samples that remember their rows, one entry per part: a list over the samples, or the arrays of a
    sample that is a batch already. Of mappings only those that are plain dicts are looked into: see
    :func:`~coverage_audit.identity.batches.held_values`."""
    if not batched:
        values = samples if isinstance(samples, tuple | list) else held_values(samples)
        parts = (samples,) if values is None else tuple(values)
        return tuple(part for part in parts if shadow_of(part) is not None)
    if not isinstance(samples, list) or not samples:
        return ()
    first = samples[0]
    keys: Any = None
    if isinstance(first, tuple | list):
        keys = range(len(first))
    elif held_values(first) is not None:
        if any(type(sample) is not dict for sample in samples):
            return ()
        keys = tuple(first)
    try:
        columns = [list(samples)] if keys is None else [[sample[key] for sample in samples] for key in keys]
    except (LookupError, TypeError):  # samples of different kinds
        return ()
    return tuple(column for column in columns if rows_listed(column) is not None)


def _raising(error: Exception) -> Any:
    def track() -> None:
        raise error

    return track
