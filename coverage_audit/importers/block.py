"""What every format is read as: consecutive lines of a log, each a step and the ids it took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverage_audit.errors import LogError
from coverage_audit.model.rows import Ints

_LONG = 60


@dataclass(frozen=True, slots=True)
class Block:
    """n lines of one file, in order.

    ``step``, ``rank``, ``epoch``: int64 (n,), None where the file does not tell (steps then count up by themselves).
    ``ids``: int64, those of all lines end to end; ``sizes``: int64 (n,), how many of them each line has. ``line``: the
    number of the first line, from 1, and ``unit`` what such a line is; ``lines`` are all
    numbers where some lines are left out.
    """

    where: str
    line: int
    ids: Ints
    sizes: Ints
    step: Ints | None = None
    rank: Ints | None = None
    epoch: Ints | None = None
    unit: str = "line"
    lines: Ints | None = None

    def take(self, chosen: Ints) -> Block:
        """Only these lines (positions, ascending), which keep their numbers."""
        keep = np.zeros(len(self.sizes), np.bool_)
        keep[chosen] = True
        return Block(
            self.where,
            self.line,
            np.ascontiguousarray(self.ids[np.repeat(keep, self.sizes)]),
            self.sizes[chosen],
            None if self.step is None else self.step[chosen],
            None if self.rank is None else self.rank[chosen],
            None if self.epoch is None else self.epoch[chosen],
            self.unit,
            self.line + chosen,
        )

    def place(self, position: int) -> str:
        """Where a line is, for messages."""
        line = self.line + position if self.lines is None else int(self.lines[position])
        return place(self.where, line, self.unit)


def place(where: str, line: int, unit: str = "line") -> str:
    """``log.csv:17``; rows of files that have no lines are named as such."""
    return f"{where}:{line}" if unit == "line" else f"{where}, {unit} {line}"


def bad_value(where: str, what: str, value: object, *, wanted: str = "whole numbers") -> LogError:
    """A value that is not what it has to be, at a place of :func:`place`."""
    shown = repr(value)
    shown = shown if len(shown) <= _LONG else shown[: _LONG - 1] + "…"
    return LogError(f"{where}: {what} is {shown}: give {wanted}, or correct the file there", slug="import-value")
