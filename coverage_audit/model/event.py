"""What can happen to a loader, in the order a writer saw it.

``Batch`` and ``Consumed`` are the two frequent events (one of each a step); everything rare is a ``Mark``.
A batch is *yielded* when the loader hands it out and *trained* when the training step consumed it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints


class Stage(enum.IntEnum):
    """The furthest a batch got."""

    YIELDED = 0
    DELIVERED = 1
    TRAINED = 2


class Found(enum.IntEnum):
    """How the rows of a batch are known. ``VERIFIED`` is a bit on top of the others."""

    UNKNOWN = 0
    EXPLICIT = 1
    PROVENANCE = 2
    VIEW = 3
    RECENT_CONTENT = 4
    INDEXED_CONTENT = 5
    TRACER = 6
    INFERRED = 7


VERIFIED = 64


@dataclass(frozen=True, slots=True)
class BatchRows:
    """The rows of one batch, in one of four forms; exactly one applies.

    - ``ids``: int64 sample ids as the loader gave them (not range-checked);
    - ``shard`` + ``row``: int32 and int64 arrays of one length;
    - ``runs``: int64 (n, 3) of (shard, first row, count);
    - none of them: the rows are unknown, only ``count`` is.

    ``count`` is always the number of rows in the batch. -1 where even that is unknown.
    """

    count: int
    ids: Ints | None = None
    shard: npt.NDArray[np.int32] | None = None
    row: Ints | None = None
    runs: Ints | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One yield. ``number`` is its ordinal in this split and process; ``segment`` the ordinal of the `iter()`."""

    split: str
    number: int
    rows: BatchRows
    found: int = int(Found.UNKNOWN)
    segment: int = 0
    pass_: int = -1
    worker: int = -1
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class Consumed:
    """The training (or evaluation) loop finished ``steps`` steps of this split."""

    split: str
    steps: int
    time_ns: int = 0


class MarkKind(enum.Enum):
    """The rare events. ``data`` keys of each in brackets."""

    OPENED = "opened"  # an iter(): [segment]
    ENDED = "ended"  # the stream of a segment stopped: [segment, how: exhausted|failed|closed, error]
    FIT_BEGIN = "fit_begin"  # [peek: segment of the batches peeked at, or -1; steps, epochs: the trainer's;
    #                             taken: how many batches yielded just before are the fit's, 0 if absent]
    FIT_END = "fit_end"
    EPOCH_BEGIN = "epoch_begin"  # [number: the trainer's own]
    EPOCH_END = "epoch_end"  # [number]
    EVALUATION_BEGIN = "evaluation_begin"  # [in_fit: bool]
    EVALUATION_END = "evaluation_end"
    CHECKPOINT = "checkpoint"  # [tag]
    RESTORED = "restored"  # [tag]
    DEMOTED = "demoted"  # a way of knowing rows proved unreliable: [found, reason, batch, asked: how many
    #          batches this loader had asked about, verified: which of these was the last good one, -1 if none]
    MISALIGNED = "misaligned"  # the arrays of a batch hold different rows: [batch, batches: so far, detail]
    OVERWRITTEN = "overwritten"  # batches that were kept and written into: their rows by then are unknown: [batches]
    CHANGED = "changed"  # a file of the data is not what it was: [reason]
    TWINS = "twins"  # rows are recognised by content, and some are identical: [groups, rows: in them, of]
    UNIDENTIFIED = "unidentified"  # why the rows of a batch are unknown, once per reason: [reason]
    WORKERS = "workers"  # how many processes make the loader's batches: [count]
    FAILED = "failed"  # recording stopped or lost something: [error]
    IDLE = "idle"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Mark:
    """A rare event; ``split`` is empty for those of the whole writer."""

    kind: MarkKind
    split: str = ""
    time_ns: int = 0
    data: dict[str, Any] = field(default_factory=dict)


Event = Batch | Consumed | Mark
