"""Lives of one run, each a process, and what its training steps really did.

A script of this folder names its cases and calls :func:`play`: each life of a case is forked from the script, which has
imported its framework once. Per case there is a folder: ``run.parquet``, ``truth.jsonl`` (a line as soon as something
was done, so that a kill loses nothing) and whatever the loop saves.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

N, B, E = 60, 4, 3
"""Rows, rows in a batch, epochs: 15 steps each."""
S = N // B
EVERY = 6
"""Steps from checkpoint to checkpoint; both lives below die after one and before the next."""
ONCE, TWICE = (20, 0), (20, 9, 0)
"""After how many of its own steps each life is killed, 0 for never: in the second epoch, and in the second again."""


@dataclass
class Life:
    """What one life is told, and what it writes down."""

    folder: Path
    number: int
    die_at: int
    steps: int = 0

    @property
    def log(self) -> Path:
        return self.folder / "run.parquet"

    @property
    def saved_state(self) -> dict[str, Any] | None:
        """What the life before saved last."""
        path = self.folder / "state.json"
        state: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return state

    def step(self, epoch: int, rows: Any) -> None:
        """The weights have seen these rows."""
        self.steps += 1
        self._write(did="step", epoch=epoch, rows=[int(row) for row in rows])

    def saved(self, tag: str, state: Mapping[str, Any] | None = None) -> None:
        """The weights were saved, and with them where the loop stands."""
        if state is not None:
            (self.folder / "state.new").write_text(json.dumps(dict(state)))
            (self.folder / "state.new").rename(self.folder / "state.json")
        self._write(did="saved", tag=tag)

    def restored(self, tag: str) -> None:
        self._write(did="restored", tag=tag)

    def is_due(self) -> bool:
        """Whether a checkpoint is to be saved after this step."""
        return self.steps % EVERY == 0

    def end_if_due(self) -> None:
        if self.steps == self.die_at > 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, **what: Any) -> None:
        line = json.dumps({"life": self.number, **what}) + "\n"
        file = os.open(self.folder / "truth.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)


@dataclass(frozen=True)
class Case:
    """``loop``: one life of it. ``lives``: when each is killed."""

    loop: Callable[[Life], None]
    lives: tuple[int, ...] = ONCE


def play(cases: Mapping[str, Case]) -> None:
    """Live every case, in folders of their names below the script's first argument; further arguments choose."""
    for name in sys.argv[2:] or cases:
        folder = Path(sys.argv[1], name)
        folder.mkdir()
        for number, die_at in enumerate(cases[name].lives):
            child = os.fork()
            if child == 0:
                _live(cases[name].loop, Life(folder, number, die_at))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # workers that a kill has left behind
            if status != (-signal.SIGKILL if die_at else 0):
                sys.exit(f"life {number} of {name} ended with {status}")


def _live(loop: Callable[[Life], None], life: Life) -> None:
    status = 1
    os.setsid()
    try:
        loop(life)
        status = 0
    except BaseException:  # noqa: BLE001 - shown, and the process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
