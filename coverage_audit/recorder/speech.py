"""How a program is told that less is recorded than was asked for; one per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_MEND = (
    "ids= has to give one whole number per row of the batch, or a single one where batch_size=1 says that a batch is "
    "one row"
)


@dataclass(slots=True)
class Speech:
    """``say``: None for a :class:`~coverage_audit.errors.RecordingWarning`, which whoever wrote ``wrap`` can filter.

    ``word``: from the reason why the rows of a batch are unknown, and its detail, to what helps; None where ``ids=``
    does. Whatever launches a script that knows nothing of us sets both: its user has no arguments of ``wrap``.
    """

    say: Callable[[str], None] | None = None
    word: Callable[[str, str], str] | None = None

    def remedy(self, reason: str, detail: str, *, ids_given: bool = False) -> str:
        """The end of the sentence on rows that are unknown. ``ids_given``: ``ids=`` was said, and does not do."""
        if self.word is not None:
            return self.word(reason, detail)
        return _MEND if ids_given else "give their row ids with ids="


SPEECH = Speech()
"""Of this process."""
