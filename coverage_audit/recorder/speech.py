"""How a program is told that less is recorded than was asked for; one per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _ids(reason: str, detail: str) -> str:
    return "give their row ids with ids="


@dataclass(slots=True)
class Speech:
    """``say``: None for a :class:`~coverage_audit.errors.RecordingWarning`, which whoever wrote ``wrap`` can filter.

    ``remedy``: from the reason why the rows of a batch are unknown, and its detail, to what helps. Whatever launches a
    script that knows nothing of us sets both: its user has no ``wrap`` and none of its arguments.
    """

    say: Callable[[str], None] | None = None
    remedy: Callable[[str, str], str] = _ids


SPEECH = Speech()
"""Of this process."""
