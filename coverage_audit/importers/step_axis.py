"""The step numbers of a log on the axis of the run: in turn, missing, or gone back to by a restart."""

from __future__ import annotations

from dataclasses import dataclass, field

from coverage_audit.errors import LogError

MISSING_AT_MOST = 1_000_000
"""Steps without a line that are taken for missing; with more, the numbers are rather no step numbers."""
RESTARTS_AT_MOST = 1_000


@dataclass(slots=True)
class StepAxis:
    """Follows one rank. A *place* is the number of steps before a step, from the beginning of the run.

    ``first``: the number of the run's first step; None: 0 or 1 if the log begins with either, else ``usual``.
    Numbers that begin again with a later epoch count within epochs.
    """

    first: int | None = None
    usual: int = 0
    next: int = 0
    """The place of the step that would come in turn."""
    restarts: int = 0
    _shift: int | None = None
    _epoch: int | None = None
    _shifts: dict[int, int] = field(default_factory=dict)
    _gaps: list[tuple[int, int]] = field(default_factory=list)
    _missing: int = 0

    @property
    def next_step(self) -> int:
        """The number of the step that would come in turn."""
        return self.next - self._shift if self._shift is not None else self.first or 0

    def place_of(self, step: int, epoch: int | None, where: str) -> int:
        """Where a step belongs: at ``next``, beyond it (steps are missing), or before it (a restart goes back there).

        Raises :class:`LogError` (import-order) for a step that goes back to where none was, for too many that are
        missing, and for too many restarts.
        """
        if self._shift is None:
            if self.first is None:
                self.first = step if step in (0, 1) else self.usual
            self._shift = -self.first
        shift = self._shift
        if epoch is not None and epoch != self._epoch:
            begins_anew = self._epoch is not None and epoch > self._epoch and step + shift < self.next
            if epoch in self._shifts:
                shift = self._shifts[epoch]
            elif begins_anew:
                shift = self.next - (self.first or 0)
        place = step + shift
        if place < self.next:
            self._go_back(place, step, where)
        elif place > self.next:
            self._leave_out(place, step, where)
        self._shift, self._epoch = shift, epoch
        if epoch is not None:
            self._shifts[epoch] = shift
        return place

    def _go_back(self, place: int, step: int, where: str) -> None:
        last = self.next - 1
        if place < 0:
            raise LogError(
                f"{where}: step {step} comes after others and before the first, {self.first}: sort the log by step, or "
                f"say --first-step {step}",
                slug="import-order",
            )
        if any(start <= place < stop for start, stop in self._gaps):
            raise LogError(
                f"{where}: step {step} comes late, {last - place + 1:,} steps after its turn: sort the log by step (a "
                "log that goes back to a step it had is taken for a restart)",
                slug="import-order",
            )
        self.restarts += 1
        if self.restarts > RESTARTS_AT_MOST:
            raise LogError(
                f"{where}: step {step} goes back for the {self.restarts:,}th time: sort the log by step, or name the "
                "column that tells its ranks apart with --rank-column",
                slug="import-order",
            )
        self._gaps = [(start, min(stop, place)) for start, stop in self._gaps if start < place]

    def _leave_out(self, place: int, step: int, where: str) -> None:
        self._missing += place - self.next
        if self._missing > MISSING_AT_MOST:
            raise LogError(
                f"{where}: step {step} comes where {self.next + (self.first or 0)} was in turn, so "
                f"{self._missing:,} steps have no line: name the column that counts steps with --step-column, or the "
                "first step of the log with --first-step",
                slug="import-order",
            )
        self._gaps.append((self.next, place))
