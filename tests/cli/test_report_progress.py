"""A sign of life for slow logs: on a terminal, after a second, and gone when it is over."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from coverage_audit.cli.progress import progress

SCRIPT = """
import time
from coverage_audit.cli.progress import progress
with progress("reading run.parquet"):
    time.sleep({})
"""


def on_a_terminal(seconds: float) -> str:
    """What a terminal gets on stderr from work that takes so long."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.Popen([sys.executable, "-c", SCRIPT.format(seconds)], stderr=theirs, env=environment)
    os.close(theirs)
    out = b""
    while True:
        try:
            out += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert done.wait() == 0
    return out.decode()


def test_quick_work_says_nothing() -> None:
    assert on_a_terminal(0.1) == ""


def test_slow_work_shows_that_it_goes_on() -> None:
    assert "reading run.parquet" in on_a_terminal(1.6)


def test_not_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading run.parquet"):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_goes_through() -> None:
    with pytest.raises(ZeroDivisionError), progress("x"):
        _ = 1 // 0
