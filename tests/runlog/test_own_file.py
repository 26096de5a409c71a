"""A program that closes all open files, as daemons do, closes ours too; its next files have their numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coverage_audit.runlog.hold import hold_log
from coverage_audit.runlog.journal import Journal, journal_path, read_journal

STEM = "a000-r0000-p0001"


def number_of(path: Path) -> int:
    """Under which number this file is open in this process."""
    return next(fd for fd in range(3, 1024) if fd in open_files() and os.path.samefile(f"/dev/fd/{fd}", path))


def open_files() -> set[int]:
    return {int(name) for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}")}


def replace(fd: int, checkpoint: Path) -> None:
    """What a program does that closes ``fd`` and opens a file of its own."""
    own = os.open(checkpoint, os.O_WRONLY | os.O_CREAT)
    os.dup2(own, fd)
    os.close(own)


def write_to(journal: Journal) -> None:
    journal.write_run(0, 0, 0, 0, 0, 0, 0, 0, 0, 5)


def test_nothing_is_written_into_a_file_of_the_program(tmp_path: Path) -> None:
    """GIVEN a journal whose number is the program's file now WHEN written and closed THEN that file is untouched."""
    journal = Journal(tmp_path, STEM)
    write_to(journal)
    fd = number_of(journal_path(tmp_path, STEM, 0))
    replace(fd, tmp_path / "checkpoint")
    with pytest.raises(
        OSError, match=r"^a000-r0000-p0001-00000\.journal: the program has closed this file; close only"
    ):
        write_to(journal)
    journal.close()
    os.write(fd, b"weights")
    os.close(fd)
    assert (tmp_path / "checkpoint").read_bytes() == b"weights"
    assert len(list(read_journal(journal_path(tmp_path, STEM, 0)).events())) == 1


def test_a_journal_that_was_closed_by_the_program_ends_quietly(tmp_path: Path) -> None:
    journal = Journal(tmp_path, STEM)
    os.close(number_of(journal_path(tmp_path, STEM, 0)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_to(journal)
    journal.close()


@pytest.mark.parametrize("reused", [False, True])
def test_a_log_is_released_without_closing_a_file_of_the_program(tmp_path: Path, reused: bool) -> None:
    held = hold_log(tmp_path / "run.parquet", "run-1")
    (facts,) = tmp_path.rglob("run.json")
    fd = number_of(facts)
    if reused:
        replace(fd, tmp_path / "checkpoint")
    else:
        os.close(fd)
    held.hold.release()
    assert (fd in open_files()) == reused
    if reused:
        os.close(fd)
