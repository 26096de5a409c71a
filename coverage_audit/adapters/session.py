"""What the hooks on trainers need of whatever started them."""

from __future__ import annotations

from typing import Any, Protocol

from coverage_audit.recorder.recorder import Recorder


class Options(Protocol):
    """What was asked for on the command line."""

    @property
    def loaders(self) -> tuple[str, ...]:
        """The functions and classes whose batches are recorded by name: they are the train split's."""


class Session(Protocol):
    """What is being recorded of a script. None of it raises."""

    @property
    def options(self) -> Options: ...

    def recorder(
        self,
        split: str = "train",
        *,
        steps_per_epoch: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
    ) -> Recorder | None:
        """The recorder of a split, the same one each time; None if it is not recorded."""

    def wrap(self, loader: Any, split: str = "train", **facts: Any) -> Any:
        """A proxy that records what ``loader`` yields; the loader itself where that cannot be had."""

    def fail(self, error: BaseException) -> None:
        """Recording is over; said once."""

    def note(self, message: str) -> None:
        """Say something, once."""

    def pass_over(self, what: str, why: str) -> None:
        """Something that trains or evaluates is not recorded; said once."""
