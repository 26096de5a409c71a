"""What every format is read as: consecutive lines of a log, each a step and the ids it took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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

    def by_rank(self, default: int) -> Iterator[tuple[int, Block]]:
        """The lines of each rank, in order and with their numbers; all are ``default``'s where no rank is told."""
        if self.rank is None:
            yield default, self
            return
        if len(self.rank) and (self.rank == self.rank[0]).all():
            yield int(self.rank[0]), self
            return
        order = np.argsort(self.rank, kind="stable")
        sizes = self.sizes[order]
        ends = np.cumsum(sizes)
        starts = (np.cumsum(self.sizes) - self.sizes)[order]
        ids = self.ids[np.repeat(starts - (ends - sizes), sizes) + np.arange(len(self.ids))]
        ends = np.append(0, ends)
        ranks, firsts = np.unique(self.rank[order], return_index=True)
        for rank, low, high in zip(ranks.tolist(), firsts.tolist(), [*firsts[1:].tolist(), len(order)], strict=True):
            lines = order[low:high]
            yield (
                rank,
                replace(
                    self,
                    ids=ids[ends[low] : ends[high]],
                    sizes=sizes[low:high],
                    step=None if self.step is None else self.step[lines],
                    epoch=None if self.epoch is None else self.epoch[lines],
                    rank=None,
                    lines=self.line + lines,
                ),
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
