"""Programs that find TensorFlow imported already, which takes longer than all that most of them do.

A process imports it once and forks for each program; Keras, which is what is watched, the program imports by itself.
TensorFlow starts its threads with its first operation, so that a fork before it is as good as a fresh process. What is
not as in a fresh one: TensorFlow, and NumPy and h5py with it, was imported before anything of the recorder's.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVE = "import tensorflow_forks; tensorflow_forks.serve()"


class Forks:
    """Runs ``python -m`` with TensorFlow imported, one program at a time. Started by the first of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._server: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
        """``python -m *arguments`` in ``folder``; raises TimeoutExpired after ``seconds``, the program killed."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", SERVE], cwd=Path(__file__).parent, env=self._environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        out, err = folder / "stdout.txt", folder / "stderr.txt"
        asked = {"arguments": list(arguments), "folder": str(folder), "seconds": seconds}
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        answer = self._server.stdout.readline()
        assert answer, "the process that forks has ended"
        status = json.loads(answer)
        if status is None:
            raise subprocess.TimeoutExpired(list(arguments), seconds)
        return subprocess.CompletedProcess(list(arguments), status, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process that forks."""
        if self._server is not None:
            self._server.communicate()


def serve() -> None:
    """Fork for each line of standard input; in a child, be the program."""
    sys.modules["keras"] = None  # type: ignore[assignment]  # TensorFlow does without where it is not to be had
    import tensorflow  # noqa: F401

    del sys.modules["keras"]
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked["arguments"], Path(asked["folder"]))
            return
        print(json.dumps(_wait(child, asked["seconds"])), flush=True)


def _become(arguments: list[str], folder: Path) -> None:
    """What ``python -m`` does, with the streams and the folder of its own."""
    os.chdir(folder)
    for number, stream in enumerate((os.devnull, "stdout.txt", "stderr.txt")):
        opened = os.open(stream, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.path[0] = str(folder)
    sys.argv[:] = ["-m", *arguments[1:]]
    runpy._run_module_as_main(arguments[0])  # type: ignore[attr-defined]


def _wait(child: int, seconds: float) -> int | None:
    """The exit status as subprocess tells it; None where there was none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
