"""No lock of ours is held for ever in a forked child, nor in a signal's handler."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import coverage_audit
from coverage_audit.identity.origins import ORIGINS
from coverage_audit.identity.reads import Reads
from coverage_audit.locks import new_lock
from coverage_audit.recorder.flight import Flight

PATIENCE = 10.0  # seconds


def exit_status_of_child(work: Callable[[], object]) -> int | None:
    """Of a forked child that does ``work``; None if it hangs."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def reads() -> Reads:
    made = Reads()
    made.listeners = 1
    return made


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("owner", "work"),
    [
        pytest.param(made := reads(), lambda made=made: made.tell(np.arange(3)), id="reads"),
        pytest.param(ORIGINS, lambda: ORIGINS.unchanged("/"), id="origins"),
        pytest.param(flight := Flight(), lambda flight=flight: flight.consumed(1), id="flight"),
    ],
)
def test_a_child_forked_while_a_thread_holds_the_lock_goes_on(owner: object, work: Callable[[], object]) -> None:
    """GIVEN a thread, such as one that prefetches, in the middle of recording WHEN another one forks loader workers."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with owner._lock:  # type: ignore[attr-defined]
            held.set()
            done.wait(PATIENCE * 2)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE)
    try:
        assert exit_status_of_child(work) == 0
    finally:
        done.set()
        thread.join()
    work()


def test_the_thread_that_holds_it_may_come_in_again() -> None:
    made = reads()
    with made._lock:
        made.tell(np.arange(3))
    assert made.serial == 1


def test_owners_are_not_kept_alive() -> None:
    class Owner:
        def __init__(self) -> None:
            self._lock = new_lock(self)

    owner = Owner()
    first = owner._lock
    del owner
    assert first.acquire(blocking=False)


def test_locks_are_renewed_after_a_fork() -> None:
    """Every lock is made by new_lock(), or its module has a hook of its own for forks, or is told by one."""
    sources = {path: path.read_text(encoding="utf-8") for path in Path(coverage_audit.__file__).parent.rglob("*.py")}
    locking = {path for path, text in sources.items() if re.search(r"threading\.R?Lock\(\)", text)}
    assert {path.name for path in locking} >= {"locks.py", "writer.py", "open_writers.py"}
    renewed = re.compile(r"register_at_fork|def begin_again_in_child\(")
    assert [path.name for path in locking if not renewed.search(sources[path])] == []
