"""What the arrays of one batch say together about its rows: they agree, or x and y are misaligned, or nothing is known.

Arrays of the declared files speak for the batch. Their partners (labels beside features) and files of as many rows
that nobody declared can only agree or disagree: then the rows are those of the declared files, and it is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coverage_audit.identity.batches import Answer, Run, Unknown
from coverage_audit.identity.declared import OWN, Declared
from coverage_audit.identity.views import Rows
from coverage_audit.model.event import BatchRows, Found
from coverage_audit.model.rows import Ints

STRANGER = -1
"""The role of a file that nobody declared."""


class Voice(NamedTuple):
    """What one array (position ``at`` in the batch) says.

    ``rows``: of the declared data, for the roles from 0 on. ``strange``: (rows, of how many) of a file that nobody
    declared. ``path``: its file, "" where several.
    """

    at: int
    found: Found
    role: int
    rows: Answer | None
    strange: tuple[Rows, int] | None = None
    path: str = ""


class Verdict(NamedTuple):
    """``voice``: the one whose rows are the batch's, None if no declared file spoke. ``fault``: who disagrees, how."""

    voice: Voice | None
    fault: str = ""
    unknown: Unknown | None = None


def agree(declared: Declared, voices: Sequence[Voice]) -> Verdict:
    """The rows of a batch by what its arrays say."""
    own = next((v for v in voices if v.role == OWN), None)
    if own is None:
        return Verdict(None)
    if len(voices) == 1:
        return Verdict(own)
    assert own.rows is not None
    for other in voices:
        if other is own:
            continue
        if other.strange is not None:
            fault = _stranger(declared, own, *other.strange)
            if fault:
                return Verdict(own, f"{fault} of {other.path}")
            continue
        assert other.rows is not None
        if same(declared, own.rows, other.rows):
            continue
        if other.role != OWN:
            return Verdict(own, f"{text(declared, own.rows)} beside {text(declared, other.rows, other.role)}")
        if not _shifted(declared, own.rows, other.rows):
            detail = f"{text(declared, own.rows)} and {text(declared, other.rows)}"
            return Verdict(None, "", Unknown(-1, "two arrays of a batch hold different rows of the data", detail))
    return Verdict(own)


def ids_in(declared: Declared, rows: Answer) -> Ints:
    """Sample ids of known rows, in order."""
    if isinstance(rows, Run):
        first = rows.row + (int(declared.offsets[rows.shard]) if rows.shard >= 0 else 0)
        return np.arange(first, first + rows.length, dtype=np.int64)
    if isinstance(rows, BatchRows):
        if rows.runs is not None:
            firsts = declared.offsets[rows.runs[:, 0]] + rows.runs[:, 1]
            return np.concatenate([np.arange(a, a + n) for a, n in zip(firsts, rows.runs[:, 2], strict=True)])
        assert rows.shard is not None
        assert rows.row is not None
        return declared.offsets[rows.shard] + rows.row
    assert isinstance(rows, np.ndarray)
    return rows


def same(declared: Declared, one: Answer, other: Answer) -> bool:
    """Whether two answers name the same rows in the same order."""
    if isinstance(one, Run) and isinstance(other, Run):
        return one == other
    return np.array_equal(ids_in(declared, one), ids_in(declared, other))


def text(declared: Declared, rows: Answer, role: int = OWN) -> str:
    """Which rows of which file, the first few, for a message; ``role``: which file of the shard."""
    ids = ids_in(declared, rows)
    if not ids.size:
        return "no rows"
    shard = int(np.searchsorted(declared.offsets, ids[0], side="right")) - 1
    inside = (ids >= declared.offsets[shard]) & (ids < declared.offsets[shard + 1])
    shown = ids[: min(4, int(np.argmin(inside)) if not inside.all() else ids.size)] - declared.offsets[shard]
    more = ", ..." if ids.size > shown.size else ""
    said = f"{'row' if ids.size == 1 else 'rows'} {', '.join(map(str, shown.tolist()))}"
    return f"{said} of {declared.name_of(shard, role)}{more}"


def _stranger(declared: Declared, own: Voice, theirs: Rows, total: int) -> str:
    """How a file that nobody declared contradicts; empty if it does not, or has no say."""
    assert own.rows is not None
    ids = ids_in(declared, own.rows)
    if not ids.size:
        return ""
    shard = int(np.searchsorted(declared.offsets, ids[0], side="right")) - 1
    start, stop = int(declared.offsets[shard]), int(declared.offsets[shard + 1])
    if stop - start != total or ids.min() < start or ids.max() >= stop:
        return ""
    first, step, length = theirs
    if np.array_equal(ids - start, first + step * np.arange(length)):
        return ""
    return f"{text(declared, own.rows)} beside rows {first} to {first + (length - 1) * step}"


def _shifted(declared: Declared, one: Answer, other: Answer) -> bool:
    """Whether the other array is this one moved along the data: what comes next is what is to be predicted."""
    a, b = ids_in(declared, one), ids_in(declared, other)
    if a.shape != b.shape or not a.size:
        return False
    shift = int(b[0] - a[0])
    return 0 < abs(shift) <= a.size and bool(np.all(b - a == shift))
