"""A bar on stderr for work on files that takes more than a moment; or a callable of the user's instead."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = bool | Callable[[int, int], None] | None
"""None or True: a bar on a terminal; False: nothing; a callable: called with (done, total)."""

PATIENCE = 1.0
"""Seconds of work before a bar is shown."""


@contextmanager
def progress_of(wanted: Progress, text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to be told of each piece of work that is done; ``total`` in all. Nothing is left on the screen."""
    if callable(wanted):
        done = 0

        def tell(n: int) -> None:
            nonlocal done
            done += n
            wanted(done, total)

        yield tell
    elif wanted is False or not sys.stderr.isatty():
        yield lambda _: None
    else:
        bar = _Bar(text, total)
        try:
            yield bar.tell
        finally:
            bar.close()


class _Bar:
    def __init__(self, text: str, total: int) -> None:
        self._text, self._total = text, total
        self._since = time.monotonic()
        self._done = 0
        self._close: Callable[[], None] | None = None
        self._show: Callable[[int], None] | None = None

    def tell(self, n: int) -> None:
        self._done += n
        if self._show is None and time.monotonic() - self._since > PATIENCE:
            self._open()
        if self._show is not None:
            self._show(self._done)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        text = TextColumn("{task.description}", markup=False)
        bar = Rich(
            text, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        bar.start()
        task = bar.add_task(self._text, total=self._total)
        self._show = lambda done: bar.update(task, completed=done)
        self._close = bar.stop

    def close(self) -> None:
        if self._close is not None:
            self._close()
