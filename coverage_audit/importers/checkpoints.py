"""A checkpoint put into a journal afterwards: only the restart that goes back to it tells that there was one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from coverage_audit.model.event import Mark, MarkKind
from coverage_audit.runlog.frames import HEADER_BYTES, Frame, payload_bytes
from coverage_audit.runlog.journal import Journal, journal_path
from coverage_audit.runlog.journal_read import read_journal


def insert_checkpoint(folder: Path, stem: str, steps: int, tag: str | None) -> None:
    """Say behind the first ``steps`` steps of a closed writer (of one split) that the weights were saved as ``tag``.

    One of its journals is written anew. Each step is told on its own there, as importers do.
    """
    roll, before = 0, 0
    while (path := journal_path(folder, stem, roll)).exists():
        at = 0
        for head, _ in read_journal(path).records():
            at += HEADER_BYTES + payload_bytes(head)
            before += head[8] if head[1] == Frame.CONSUMED else 0
            if head[1] == Frame.CONSUMED and before == steps:
                _insert(path, at, _frame(Mark(MarkKind.CHECKPOINT, "", 0, {"tag": tag})))
                return
        roll += 1
    raise AssertionError(f"{stem} has {before} steps, and a checkpoint behind {steps} was asked for")


def _insert(path: Path, at: int, frame: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with open(path, "rb") as old, open(temporary, "wb") as new:
        left = at
        while left > 0:
            piece = old.read(min(left, 1 << 20))
            new.write(piece)
            left -= len(piece)
        new.write(frame)
        shutil.copyfileobj(old, new, 1 << 20)
    temporary.replace(path)


def _frame(mark: Mark) -> bytes:
    """The mark as it lies in a journal."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), "mark")
        journal.write_mark(mark)
        journal.close()
        return journal.path.read_bytes()
