"""The structure of a batch, and what can be said about its rows."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from coverage_audit.model.event import BatchRows, Found, MarkKind
from coverage_audit.model.rows import Ints


class Run(NamedTuple):
    """``length`` consecutive rows of one shard; with shard -1, ``row`` is the first sample id."""

    shard: int
    row: int
    length: int


class Unknown(NamedTuple):
    """Rows that could not be told. ``length``: rows in the batch, -1 if even that is unknown.

    ``reason`` is the same for all batches with the same trouble; ``detail`` is this one's numbers. ``meant``: nobody
    asked for the rows, so nobody needs a warning.
    """

    length: int
    reason: str
    detail: str = ""
    meant: bool = False


Answer = Ints | Run | BatchRows | Unknown
"""int64 C-contiguous sample ids, a run, any other known form, or unknown."""


class Notice(NamedTuple):
    """Something the log is to know beside the rows: a mark, and what to warn of ("": nothing)."""

    kind: MarkKind
    data: dict[str, Any]
    warning: str = ""


class Identified(NamedTuple):
    """Rows, and how they were found where a way has several; ``found`` may have the VERIFIED bit."""

    found: int
    rows: Answer
    notices: tuple[Notice, ...] = ()


class Way(Protocol):
    """One way from a batch to its rows."""

    @property
    def found(self) -> Found:
        """How rows known in this way are known."""

    @property
    def alters(self) -> bool:
        """Whether the batch is changed on its way, so that it must be asked even when nothing is recorded."""

    def identify(self, batch: Any) -> tuple[Any, Answer | Identified]:
        """The batch to hand on, and its rows. Does not raise for any batch."""


_HOLDS_ITS_VALUES = frozenset(("flax", "frozendict", "immutabledict", "tensordict"))
"""Packages with mappings of their own that only give out what they hold."""


def held_values(batch: Any) -> Iterable[Any] | None:
    """The values of a mapping, without running any code of the user's; None for anything else.

    A mapping of one's own may load or augment when it is asked, and is not: the random numbers that this takes would
    not be those of a run without recording.
    """
    kind = type(batch)
    if issubclass(kind, dict):
        return dict.values(batch)
    if issubclass(kind, UserDict):
        return held_values(batch.data)
    if issubclass(kind, Mapping) and kind.__module__.partition(".")[0] in _HOLDS_ITS_VALUES:
        values: Iterable[Any] = batch.values()
        return values
    return None


def leaves(batch: Any) -> Iterator[Any]:
    """What a batch is made of, through tuples, lists and mappings, in order."""
    parts = batch if isinstance(batch, tuple | list) else held_values(batch)
    if parts is None:
        yield batch
    else:
        for part in parts:
            yield from leaves(part)


def possible_lengths(batch: Any) -> frozenset[int]:
    """The numbers of rows this batch may have by its structure; empty where nothing says.

    Arrays say their first axis. A tuple or a mapping is structure, its parts agree. A list may be structure or a list
    of rows, so both readings are possible.
    """
    if isinstance(batch, tuple):
        return _agreed(batch)
    if isinstance(batch, list):
        return _agreed(batch) | {len(batch)}
    values = held_values(batch)
    if values is not None:
        return _agreed(values)
    try:
        shape = getattr(batch, "shape", None)
        return frozenset((int(shape[0]),)) if shape is not None and len(shape) else frozenset()
    except Exception:  # noqa: BLE001 - of unknown rank or length, as symbolic tensors; nested ones raise RuntimeError
        return frozenset()


def count_rows(batch: Any) -> int:
    """Rows in the batch: the length of its first axis; -1 where its structure does not say."""
    lengths = possible_lengths(batch)
    return next(iter(lengths)) if len(lengths) == 1 else -1


def _agreed(parts: Any) -> frozenset[int]:
    known = [lengths for lengths in map(possible_lengths, parts) if lengths]
    if not known:
        return frozenset()
    common = frozenset.intersection(*known)
    return common if common else known[0]


class Unasked:
    """Rows are not looked for; ``reason`` says why."""

    found = Found.UNKNOWN
    alters = False

    def __init__(self, reason: str = "identify='off'") -> None:
        self._reason = reason

    def identify(self, batch: Any) -> tuple[Any, Answer]:
        return batch, Unknown(count_rows(batch), self._reason, meant=True)


NO_IDS: Ints = np.empty(0, np.int64)
