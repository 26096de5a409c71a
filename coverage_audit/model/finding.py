"""What a rule saw: evidence while it is being judged, a finding once it is signed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coverage_audit.model.rows import RowSet


class Severity(enum.Enum):
    """INCOMPLETE: the evidence does not support a number (exit 3)."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Claim:
    """Row-epochs that a cause explains: ids missed, and ids whose surplus visits are explained, in one epoch."""

    epoch: int
    missed: RowSet = field(default_factory=RowSet.empty)
    repeated: RowSet = field(default_factory=RowSet.empty)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing a rule saw, unsigned.

    ``message`` says what was seen, with numbers; ``cause`` why (one sentence or two, may be empty); ``fix`` what to
    set or change. ``rows`` are the ids to show as ranges; ``count`` overrides their number where rows cannot say it
    (row-epochs, unidentified rows). ``severity`` overrides the rule's own, following the contract. ``late``: claim only
    what every other diagnosis leaves.
    """

    message: str
    cause: str = ""
    fix: str = ""
    epochs: tuple[int, ...] = ()
    rows: RowSet = field(default_factory=RowSet.empty)
    count: int | None = None
    claims: tuple[Claim, ...] = ()
    severity: Severity | None = None
    late: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence signed by its rule, after claiming. Ranges are half-open (shard name, start, stop)."""

    code: str
    name: str
    severity: Severity
    split: str
    epochs: tuple[int, ...]
    message: str
    cause: str
    fix: str
    rows: int
    ranges: tuple[tuple[str, int, int], ...]
    truncated: bool
    explains: tuple[str, ...] = ()
    explained: int = 0
    """Row-epochs (missed + repeated) that this finding claims after more specific ones took theirs."""
    claimed_by: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
