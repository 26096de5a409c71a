"""Recorder by hand, several splits in one log, and what may go wrong without harm to the training."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import batches, events, marks

import coverage_audit as ca
from coverage_audit.errors import LogError, RecordingWarning, UsageError
from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.runlog.reader import read_log

DATA = ca.Dataset.of(100)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.parquet"


def run(script: str, *args: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of its own process; COVERAGE_AUDIT_* of ours do not reach it."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_AUDIT_")} | environment
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, args)],
        env=environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def state_of_only_writer(log: Path) -> tuple[str, tuple[str, ...]]:
    (end,) = read_log(log).run.writers
    return end.state, end.failures


def test_epochs_and_steps_by_hand(log: Path) -> None:
    """GIVEN two epochs of a loop of one's own THEN each step is a yield and its consumption, inside one fit."""
    with ca.Recorder(log, DATA, batch_size=2) as rec:
        with rec.epoch():
            rec.step([3, 1])
            rec.step(slice(4, 6))
        rec.checkpoint("one")
        with rec.epoch():
            rec.step([(0, 7), (0, 7)])
        rec.restored("one")
        assert events(log) == [
            ("fit_begin", "train", {"peek": -1}),
            ("epoch_begin", "train", {"number": 0}),
            ("opened", "train", {"segment": 0}),
            ("train", 0, 0, -1, [3, 1]),
            ("train", 1),
            ("train", 1, 0, -1, [4, 5]),
            ("train", 1),
            ("epoch_end", "train", {"number": 0}),
            ("checkpoint", "train", {"tag": "one"}),
            ("epoch_begin", "train", {"number": 1}),
            ("train", 2, 0, -1, [(0, 7), (0, 7)]),
            ("train", 1),
            ("epoch_end", "train", {"number": 1}),
            ("restored", "train", {"tag": "one"}),
        ]
    read = read_log(log)
    (writer,) = read.writers
    assert [(m.epoch, m.fit, m.complete, m.steps_taken) for m in read.epoch_marks(writer)] == [
        (0, 0, True, 2),
        (1, 0, True, 1),
    ]
    (visits,) = read.visits(writer)
    assert visits.step.tolist() == [0, 0, 1, 2, 2]
    assert visits.row.tolist() == [3, 1, 4, 7, 7]
    assert visits.count.tolist() == [1, 1, 2, 1, 1]
    assert state_of_only_writer(log) == ("closed", ())


def test_steps_of_a_wrapped_loader(log: Path) -> None:
    """GIVEN a wrapped loader in a loop of one's own WHEN its recorder is told of steps THEN these trained."""
    loader = ca.wrap([np.array([k]) for k in range(4)], DATA, log, ids=lambda batch: batch)
    for _ in range(2):
        with loader.recorder.epoch():
            for k, _ in enumerate(loader):
                if k == 3:
                    break
                loader.recorder.step()
    loader.recorder.close()
    read = read_log(log)
    (visits,) = read.visits(read.writers[0])
    columns = (visits.row.tolist(), visits.pass_.tolist(), visits.epoch.tolist(), visits.step.tolist())
    assert list(zip(*columns, strict=True)) == [
        (0, 0, 0, 0), (1, 0, 0, 1), (2, 0, 0, 2), (3, 0, -1, -1),
        (0, 1, 1, 3), (1, 1, 1, 4), (2, 1, 1, 5), (3, 1, -1, -1),
    ]  # fmt: skip


def test_an_epoch_left_by_an_exception_is_not_complete(log: Path) -> None:
    def train() -> None:
        with ca.Recorder(log, DATA) as rec, rec.epoch():
            rec.step([1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    read = read_log(log)
    assert [m.complete for m in read.epoch_marks(read.writers[0])] == [False]


def test_two_splits_share_a_writer_and_the_last_one_closes_it(log: Path) -> None:
    held_out = ca.Dataset.of(10, name="held out")
    train, val = ca.Recorder(log, DATA), ca.Recorder(log, held_out, split="validation")
    train.step([1])
    val.step([2])
    train.close()
    assert state_of_only_writer(log)[0] != "closed"
    val.step([3])
    val.close()
    read = read_log(log)
    (end,) = read.run.writers
    assert end.state == "closed"
    assert [(s.name, s.fingerprint) for s in end.writer.splits] == [
        ("train", DATA.fingerprint),
        ("validation", held_out.fingerprint),
    ]
    assert set(read.datasets) == {DATA.fingerprint, held_out.fingerprint}
    assert sorted(p.name for p in log.iterdir()) == ["part-a000-r0000-p0001-00000.parquet"]


def test_steps_of_a_loop_without_epochs(log: Path) -> None:
    """GIVEN a loop that only tells its steps THEN the first one took the batch pulled just before it, and one that was
    pulled earlier, to look at it, was not trained."""
    gen = ca.wrap((np.array([k]) for k in range(5)), DATA, log, ids=lambda batch: batch)
    next(gen)
    for _ in range(3):
        next(gen)
        gen.recorder.step()
    gen.recorder.close()
    read = read_log(log)
    (visits,) = read.visits(read.writers[0])
    assert list(zip(visits.row.tolist(), visits.step.tolist(), strict=True)) == [(0, -1), (1, 0), (2, 1), (3, 2)]


def test_steps_after_the_close_are_said_once_to_be_unrecorded(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rec = ca.Recorder(log, ca.Dataset.of(4, name="rows"))
    with rec.epoch():
        rec.step([0, 1, 2, 3])
    rec.close()

    with pytest.warns(RecordingWarning, match="train: its recorder is closed"):
        rec.step([0])
    rec.step([1])
    assert capsys.readouterr().err == ""  # where a warning that was made an error would be said
    assert ca.audit(log).split().counts.steps == 1


def test_after_the_close_batches_pass_unrecorded(log: Path) -> None:
    """GIVEN a closed recorder THEN its loader still works; iterating it again is worth a warning, once."""
    gen = ca.wrap((np.array([k]) for k in range(5)), DATA, log, ids=lambda batch: batch)
    it = iter(gen)
    next(it)
    gen.recorder.close()
    gen.recorder.close()
    assert next(it) == [1]
    gen.recorder.step()
    with pytest.warns(RecordingWarning, match="train: its recorder is closed, so this iteration is not recorded"):
        assert len(list(gen)) == 3
    assert [len(v) for v in read_log(log).visits(read_log(log).writers[0])] == [1]


def test_the_same_split_again_must_be_of_the_same_data(log: Path) -> None:
    ca.Recorder(log, DATA, batch_size=4)
    ca.Recorder(log, DATA, steps_per_epoch=7, contract="padded")
    (writer,) = read_log(log).writers
    (split,) = writer.splits
    assert (split.batch_size, split.steps_per_epoch, split.contract.kind) == (4, 7, "padded")
    for other in (ca.Dataset.of(99), DATA.select([1, 2]), None):
        with pytest.raises(UsageError, match="split 'train' is already recorded against another dataset") as caught:
            ca.Recorder(log, other)
        assert caught.value.slug == "other-dataset"


def test_one_run_at_a_time_in_one_process(log: Path) -> None:
    rec = ca.Recorder(log, DATA, run_id="a")
    assert (rec.run_id, rec.log) == ("a", log)
    ca.Recorder(log, DATA, run_id="a")
    with pytest.raises(UsageError, match="run_id='b': this process is recording run 'a' into"):
        ca.Recorder(log, DATA, run_id="b")


def test_another_run_archives_the_log(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for run_id in ("a", "b"):
        with ca.Recorder(log, DATA, run_id=run_id) as rec:
            rec.step([1])
    assert sorted(p.name for p in log.parent.iterdir()) == [
        "run.parquet", "run.parquet.prev-a", "run.parquet.prev-a.state", "run.parquet.state",
    ]  # fmt: skip
    assert "held run a" in capfd.readouterr().err
    with pytest.raises(LogError, match="belongs to run b"):
        ca.Recorder(log, DATA, if_exists="error")


def test_ranks_need_a_run_id(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="COVERAGE_AUDIT_RUN_ID"):
        ca.wrap(iter([]), DATA, log)
    monkeypatch.setenv("COVERAGE_AUDIT_RUN_ID", "shared")
    ca.wrap(iter([]), DATA, log)
    (writer,) = read_log(log).writers
    assert (writer.rank, writer.world_size, writer.attempt) == (1, 2, 0)


def test_the_log_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ca.Recorder(None, DATA).log == tmp_path / "run.parquet"
    monkeypatch.setenv("COVERAGE_AUDIT_LOG", "other.parquet")
    assert ca.wrap(iter([]), DATA).recorder.log == tmp_path / "other.parquet"


def test_unidentified_batches_warn_once_and_are_counted(log: Path) -> None:
    gen = ca.wrap(((np.zeros((3, 2)), bad) for bad in ([1], [1.5, 2, 3], [2], [1, 2, 3])), DATA, log, ids=1)
    with pytest.warns(RecordingWarning) as caught:
        list(gen)
    assert [str(w.message).split(". ")[0] for w in caught] == [
        "train: the rows of a batch cannot be told: the number of ids is not the number of rows (1 ids, 3 rows)",
        "train: the rows of a batch cannot be told: the ids are not whole numbers (they are float64)",
    ]
    assert [rows for *_, rows in batches(log)] == [3, 3, 3, [1, 2, 3]]
    assert [m for m in marks(log) if m[0] == "unidentified"] == [
        ("unidentified", "train",
         {"reason": "the number of ids is not the number of rows", "detail": "1 ids, 3 rows"}),
        ("unidentified", "train", {"reason": "the ids are not whole numbers", "detail": "they are float64"}),
    ]  # fmt: skip


def test_identify_off_needs_no_warning(log: Path) -> None:
    list(ca.wrap([np.zeros((3, 2))], DATA, log, identify="off"))
    assert marks(log)[1] == ("unidentified", "train", {"reason": "identify='off'", "detail": ""})


def test_without_data_rows_are_not_looked_for(log: Path) -> None:
    """`coverage-audit run` without --data: nobody has said identify="off", so it is not given as the reason."""
    list(ca.wrap([np.zeros((3, 2))], None, log, identify="off"))
    assert marks(log)[1] == ("unidentified", "train", {"reason": "no data is declared to find rows in", "detail": ""})


def test_warnings_that_are_errors_do_not_reach_the_loop(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN -W error THEN training goes on, and the warning is a line on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(ca.wrap([np.zeros((3, 2))], DATA, log))) == 1
    assert "coverage-audit: train: the rows of a batch cannot be told" in capsys.readouterr().err


def test_idle_ends_with_what_comes_next(log: Path) -> None:
    loader = ca.wrap([np.array([k]) for k in range(2)], DATA, log, ids=lambda batch: batch)
    list(loader)
    assert state_of_only_writer(log)[0] == "idle"
    next(iter(loader))
    assert state_of_only_writer(log)[0] == "open"
    list(loader)
    assert state_of_only_writer(log)[0] == "idle"


FULL_DISK = """
import resource, signal, sys, warnings
import numpy as np
import coverage_audit as ca

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
gen = ca.wrap((np.arange(1000)[::-1] + k for k in range(100)), ca.Dataset.of(2000), sys.argv[1], ids=lambda b: b)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(sum(len(batch) for batch in gen))
    print([str(w.message)[-70:] for w in caught], [w.category.__name__ for w in caught])
"""


def test_a_full_disk_stops_the_recording_and_not_the_training(log: Path) -> None:
    """GIVEN a disk that takes 12 batches of 100 THEN all 100 pass, one warning is given, the 12 are in the log."""
    done = run(FULL_DISK, log)
    assert done.returncode == 0, done.stderr
    total, said = done.stdout.splitlines()
    assert total == "100000"
    assert said == "['ould be written; free space on the disk). The log is marked incomplete'] ['RecordingWarning']"
    read = read_log(log)
    (end,) = read.run.writers
    assert end.state == "open" or end.failures != ()
    assert sum(int(v.count.sum()) for v in read.visits(end.writer)) == 12_000


def record_in_child(gen: Any) -> None:
    for _ in range(3):
        next(gen)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_a_writer_of_its_own(log: Path) -> None:
    """GIVEN a generator that goes on in a forked child THEN each process has its own record, both closed."""
    gen = ca.wrap((np.array([k, k + 9]) for k in range(50)), DATA, log, ids=lambda batch: batch)
    next(gen)
    child = multiprocessing.get_context("fork").Process(target=record_in_child, args=(gen,))
    child.start()
    child.join()
    assert child.exitcode == 0
    next(gen)
    gen.recorder.close()
    read = read_log(log)
    rows = {w.writer.process: [int(r) for v in read.visits(w.writer) for r in v.row] for w in read.run.writers}
    assert rows == {1: [0, 9, 1, 10], 2: [1, 10, 2, 11, 3, 12]}
    assert {w.writer.attempt for w in read.run.writers} == {0}
    assert [w.state for w in read.run.writers] == ["closed", "closed"]


AT_EXIT = """
import sys
import coverage_audit as ca
rec = ca.Recorder(sys.argv[1], ca.Dataset.of(10))
rec.step([1, 2, 3])
"""


def test_at_exit_the_log_is_closed_and_has_parts(log: Path) -> None:
    assert run(AT_EXIT, log).stderr == ""
    assert state_of_only_writer(log) == ("closed", ())
    assert [p.name for p in log.iterdir()] == ["part-a000-r0000-p0001-00000.parquet"]


def test_killed_it_is_open(log: Path) -> None:
    assert run(AT_EXIT + "import os; os.kill(os.getpid(), 9)", log).returncode == -9
    assert state_of_only_writer(log) == ("open", ())
    read = read_log(log)
    assert [v.row.tolist() for v in read.visits(read.writers[0])] == [[1]]


@pytest.mark.parametrize(
    ("options", "slug", "message"),
    [
        ({"steps_per_epoch": 0}, "bad-steps-per-epoch", "steps_per_epoch=0: give a whole number above 0"),
        ({"batch_size": -1}, "bad-batch-size", "batch_size=-1: give a whole number above 0"),
        ({"batch_size": 1.5}, "bad-batch-size", "batch_size=1.5: give a whole number above 0"),
        ({"epochs": True}, "bad-epochs", "epochs=True: give a whole number above 0"),
        ({"contract": "exactly-onec"}, "bad-contract", "did you mean 'exactly-once'"),
        ({"if_exists": "delete"}, "bad-if-exists", "if_exists='delete' is unknown: give 'archive' or 'error'"),
        ({"identify": "magic"}, "bad-identify", "identify='magic' is unknown: give 'auto', 'provenance', 'views'"),
        ({"ids": 1.5}, "bad-ids", "ids=1.5 is a float: give a key"),
        ({"split": ""}, "bad-argument", "split='' is no name"),
        ({"sync_every": 0}, "bad-argument", "sync_every=0: give seconds above 0"),
        ({"run_id": ""}, "bad-run-id", "run_id='' names no run"),
        ({"data_parallel": (2, 2)}, "bad-data-parallel", r"data_parallel=\(2, 2\) is no \(index, size\)"),
        ({"dataset": "x_*.npy"}, "bad-dataset", r"dataset='x_\*.npy' is of type str: give ca.Dataset.open"),
        ({"dataset": 100}, "bad-dataset", r"dataset=100 is of type int: give ca.Dataset.open"),
        ({"sync_every": "5"}, "bad-argument", r"sync_every='5': give seconds above 0"),
    ],
)
def test_arguments_that_cannot_be_meant(log: Path, options: dict[str, Any], slug: str, message: str) -> None:
    """Said before anything is written."""
    with pytest.raises(UsageError, match=message) as caught:
        ca.wrap(iter([]), **({"dataset": DATA, "log": log} | options))
    assert caught.value.slug == slug
    assert list(log.parent.iterdir()) == []


def test_how_many_batches_are_looked_up(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN verify-every = 2 THEN every second batch is held against the file, and the log says which."""
    np.save(tmp_path / "x_0.npy", np.random.default_rng(0).normal(size=(40, 6)))
    (tmp_path / "coverage-audit.toml").write_text("verify-every = 2\n")
    monkeypatch.chdir(tmp_path)
    x: Any = np.load("x_0.npy", mmap_mode="r")
    gen = ca.wrap((x[at : at + 10] for at in range(0, 40, 10)), ca.Dataset.open("x_0.npy"), log)
    assert len(list(gen)) == 4
    gen.recorder.close()
    (writer,) = read_log(log).writers
    found = np.concatenate([visits.found for visits in read_log(log).visits(writer)])
    assert found.tolist() == [Found.VIEW | VERIFIED, Found.VIEW, Found.VIEW | VERIFIED, Found.VIEW]
