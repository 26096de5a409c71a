"""When arrays are to be followed from the file they were read from, and what happens if that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from coverage_audit.identity.reads import READS
from coverage_audit.identity.shadows import Shadow, Span
from coverage_audit.recorder.writer import warn
from coverage_audit.sources.stored import is_own_reading


class Follow:
    """``active``: hooks do something. One per process."""

    def __init__(self) -> None:
        self.active = False
        self._has_warned = False

    @property
    def wanted(self) -> bool:
        """Whether what this thread reads now is the user's reading, while recording."""
        return self.active and not READS.is_ours and not is_own_reading()

    def follow(self, result: Any, track: Callable[[], Any]) -> Any:
        """``track()``: the result as it is to be handed out; ``result`` itself if that fails."""
        try:
            return track()
        except Exception as error:  # noqa: BLE001 - the program under recording gets what it asked for, whatever fails
            if not self._has_warned:
                self._has_warned = True
                warn(f"what is read from files is not followed everywhere ({type(error).__name__}: {error})")
            return result


def tell(rows: Shadow) -> None:
    """The program has just read these rows, if there are any."""
    if isinstance(rows, Span) and rows.length == 0:
        return
    if isinstance(rows, np.ndarray) and rows.size == 0:
        return
    READS.tell(rows)


def path_of(file: Any) -> str | None:
    """Where an open file is, if it still is there; None for anything without a name or place of its own."""
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        return None
    try:
        here, there = os.fstat(file.fileno()), os.stat(name)
    except (OSError, ValueError, AttributeError):  # closed, deleted, or no file of the system
        return None
    return os.path.abspath(name) if os.path.samestat(here, there) else None


FOLLOW = Follow()
"""Of this process."""
