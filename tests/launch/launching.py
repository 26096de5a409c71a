"""One program under Python itself and under `coverage-audit run`, in two processes, to be compared."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OURS = "coverage-audit: "


@dataclass(frozen=True)
class Ending:
    """What a process left. ``said``: the lines of ours, which ``err`` is without."""

    status: int
    out: str
    err: str
    said: tuple[str, ...] = ()


def under_python(folder: Path, *words: str, **variables: str) -> Ending:
    return _ending(folder, [sys.executable, *words], variables)


def under_us(folder: Path, *words: str, options: tuple[str, ...] = (), **variables: str) -> Ending:
    return _ending(folder, [sys.executable, "-m", "coverage_audit", "run", *options, *words], variables)


def both(folder: Path, *words: str, options: tuple[str, ...] = (), **variables: str) -> tuple[Ending, Ending]:
    """The same program without and with us, what we said taken out."""
    ours = under_us(folder, *words, options=options, **variables)
    return under_python(folder, *words, **variables), Ending(ours.status, ours.out, ours.err)


def _ending(folder: Path, command: list[str], variables: dict[str, str]) -> Ending:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": "0", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stderr.splitlines(keepends=True)
    ours = tuple(line.rstrip("\n").removeprefix(OURS) for line in lines if line.startswith(OURS))
    return Ending(done.returncode, done.stdout, "".join(x for x in lines if not x.startswith(OURS)), ours)
