"""Recording does not reach the training loop, whatever a loader, a program or a person does meanwhile."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import batches, marks

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning
from coverage_audit.runlog.reader import read_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.parquet"


class Nested:
    """As torch's nested tensors: it has no shape, and says so."""

    @property
    def shape(self) -> Any:
        raise RuntimeError("NestedTensorImpl doesn't support sizes")


def test_an_exception_that_cannot_say_what_it_is(log: Path) -> None:
    """GIVEN a loader whose exception fails in its own __str__ THEN that very exception comes out, and is recorded."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    def batches_then_fault() -> Iterator[int]:
        yield 0
        raise Broken

    gen = ca.wrap(batches_then_fault(), log=log, identify="off")
    assert next(gen) == 0
    with pytest.raises(Broken):
        next(gen)
    assert marks(log)[-1] == ("ended", "train", {"segment": 0, "how": "failed", "error": "Broken"})


def test_ids_are_taken_out_of_batches_that_have_no_shape(log: Path) -> None:
    """
    GIVEN batches whose first part raises when it is asked for its shape, ids at position 2
    THEN the ids do not go on to the trainer, which would take them for sample weights
    """
    batch = (Nested(), "y", np.array([4, 5]))
    gen = ca.wrap(iter([batch, batch]), log=log, ids=2)
    assert [(part[1], len(part)) for part in gen] == [("y", 2), ("y", 2)]
    assert [rows for _, _, _, rows in batches(log)] == [[4, 5], [4, 5]]


def test_a_mapping_that_fails_goes_on_as_it_is(log: Path) -> None:
    class Failing(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            raise RuntimeError("closed")

    batch = Failing(x=1)
    gen = ca.wrap(iter([batch, batch]), log=log, ids="ids")
    with pytest.warns(RecordingWarning, match=r"the ids cannot be taken out of the batch \(RuntimeError: closed\)"):
        assert next(gen) is batch
    gen.recorder.close()
    assert next(gen) is batch


@pytest.mark.parametrize("stderr", ["none", "closed"])
def test_nowhere_to_warn_to(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    """GIVEN warnings made errors, and no stderr to say it on THEN the batch goes on and recording too."""
    gone = (tmp_path / "stderr").open("w")
    gone.close()
    gen = ca.wrap(iter(["text", "more"]), log=log)
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr(sys, "stderr", None if stderr == "none" else gone)
        assert list(gen) == ["text", "more"]
    assert [number for number, *_ in batches(log)] == [0, 1]


def test_a_showwarning_that_fails(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no window to show it in")

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("always")
        patch.setattr(warnings, "showwarning", fail)
        assert next(ca.wrap(iter(["text"]), log=log)) == "text"
    assert "the rows of a batch cannot be told" in capsys.readouterr().err


def test_closing_one_loader_of_a_split_does_not_end_the_other(log: Path) -> None:
    """GIVEN two generators of one split WHEN the first is closed THEN its own iteration is over, and no other."""
    first, second = (ca.wrap((k for k in range(2)), log=log, identify="off") for _ in range(2))
    next(first)
    it = iter(second)
    next(it)
    first.close()
    assert list(it) == [1]
    ended = [data for kind, _, data in marks(log) if kind == "ended"]
    assert ended == [{"segment": 0, "how": "closed"}, {"segment": 2, "how": "exhausted"}]


def test_a_signal_may_come_in_the_middle_of_a_write(log: Path) -> None:
    """GIVEN a signal's handler that notes a checkpoint, as on pre-emption THEN it waits for nobody."""
    gen = ca.wrap(itertools.repeat((np.zeros(2), np.arange(2))), log=log, ids=1)
    numbers = itertools.count()  # of handlers: a signal may come in the handler of another

    def note(*_: Any) -> None:
        gen.recorder.checkpoint(f"signal {next(numbers)}")

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
    try:
        until = time.monotonic() + 0.3
        pulled = 0
        while time.monotonic() < until:
            next(gen)
            pulled += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    tags = [data["tag"] for kind, _, data in marks(log) if kind == "checkpoint"]
    assert sorted(tags) == sorted(f"signal {k}" for k in range(next(numbers)))
    assert [number for number, *_ in batches(log)] == list(range(pulled))


def test_a_log_deleted_during_training_is_missed_at_its_close(log: Path) -> None:
    gen = ca.wrap(iter(range(3)), log=log, identify="off")
    next(gen)
    shutil.rmtree(log.with_name("run.parquet.state"))
    assert list(gen) == [1, 2]
    with pytest.warns(RecordingWarning, match="was deleted or moved while it was being written"):
        gen.recorder.close()


def test_a_copy_on_write_map_whose_file_is_gone(log: Path, tmp_path: Path) -> None:
    """GIVEN views of a copy-on-write map WHEN its file is deleted, or cut short THEN their rows are unknown."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(10.0))
    data = ca.Dataset.open(str(path))
    x = np.load(path, mmap_mode="c")
    gen = ca.wrap((x[i : i + 5] for i in (0, 5, 0)), data, log)
    next(gen)
    path.unlink()
    with pytest.warns(RecordingWarning, match="the file of a copy-on-write memory map is gone or cut short"):
        next(gen)
    np.save(path, np.arange(3.0))
    next(gen)
    assert [rows for _, _, _, rows in batches(log)] == [[(0, 0, 5)], 5, 5]


INTERRUPTED = """
import os, signal, sys
import coverage_audit as ca

gen = ca.wrap(iter(range(3)), log=sys.argv[1], identify="off")
next(gen)
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_process_ended_by_ctrl_c_ends_by_it(log: Path) -> None:
    """
    GIVEN a KeyboardInterrupt that nobody catches
    THEN the process dies by SIGINT, as it would unrecorded, and its log can be read
    """
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(log)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT, done.stderr
    (end,) = read_log(log).run.writers
    assert (end.state, [number for number, *_ in batches(log)]) == ("closed", [0])
