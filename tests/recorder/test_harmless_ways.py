"""Finding the rows of a batch does not reach the training loop, whatever a batch holds and whatever fails in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning
from coverage_audit.identity import ladder


class Opaque:
    """A batch of a kind of its own, which refuses all questions."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __len__(self) -> int:
        raise RuntimeError("no length")


def test_batches_that_refuse_all_questions(tmp_path: Path) -> None:
    given = [Opaque() for _ in range(3)]
    gen = ca.wrap(iter(given), ca.Dataset.of(9, name="x"), log=tmp_path / "run.parquet")
    assert [id(batch) for batch in gen] == [id(batch) for batch in given]
    gen.recorder.close()


def test_a_fault_of_ours_does_not_come_back_after_recording_has_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a way of finding rows that fails at every batch THEN that is said once, and all batches go on."""

    def fail(batch: Any) -> int:
        raise ArithmeticError("ours")

    monkeypatch.setattr(ladder, "count_rows", fail)
    given = [np.arange(3), np.arange(4), np.arange(5)]
    gen = ca.wrap(iter(given), ca.Dataset.of(99, name="x"), log=tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning, match="ArithmeticError: ours") as said:
        assert [len(batch) for batch in gen] == [3, 4, 5]
    assert len(said) == 1
    gen.recorder.close()
