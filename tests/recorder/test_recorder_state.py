"""What a hand-written loop saves with its weights."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import UsageError
from coverage_audit.model.event import MarkKind
from coverage_audit.runlog.reader import read_log


def test_a_state_is_plain_values(tmp_path: Path) -> None:
    import torch

    with ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4), run_id="r") as rec:
        with rec.epoch():
            rec.step([0, 1])
        state = rec.state_dict()

    assert state == {"tag": "a000-r0000-p0001:train:1", "epoch": 1, "in_epoch": False, "steps": 1}
    assert json.loads(json.dumps(state)) == state
    file = io.BytesIO()
    torch.save({"recorder": state}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == {"recorder": state}


def test_each_state_is_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    with ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4), run_id="r") as rec:
        tags = [rec.state_dict()["tag"] for _ in range(2)]
        rec.load_state_dict({"tag": tags[0], "epoch": 3})
        with rec.epoch():
            rec.step([0])

    log = read_log(tmp_path / "run.parquet")
    marks = [m for m in log.marks(log.writers[0]) if m.kind in (MarkKind.CHECKPOINT, MarkKind.RESTORED)]
    assert [(m.kind.value, m.data["tag"]) for m in marks] == [
        ("checkpoint", tags[0]),
        ("checkpoint", tags[1]),
        ("restored", tags[0]),
    ]
    assert len(set(tags)) == 2
    assert [e.number for e in log.epoch_marks(log.writers[0])] == [3]


@pytest.mark.parametrize("tag", ["a", 7, np.int64(7), Path("weights.pt")])
def test_tags_come_back_as_text_or_numbers(tmp_path: Path, tag: object) -> None:
    with ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4), run_id="r") as rec:
        rec.step([0])
        rec.checkpoint(tag)  # type: ignore[arg-type]
        rec.restored(tag)  # type: ignore[arg-type]

    log = read_log(tmp_path / "run.parquet")
    places = log.summary(log.writers[0]).places
    expected = {"a": "a", 7: 7}.get(tag, str(tag)) if isinstance(tag, str | int | np.integer) else str(tag)
    assert [(p.kind, p.tag, p.steps, p.yields, p.batch) for p in places] == [
        ("checkpoint", expected, 1, 1, 0),
        ("restored", expected, 1, 1, 0),
    ]


@pytest.mark.parametrize("state", [None, {}, {"epoch": 1}, "a"])
def test_what_is_no_state_is_refused(tmp_path: Path, state: object) -> None:
    with (
        ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4), run_id="r") as rec,
        pytest.raises(UsageError, match="is no state of a Recorder: give what its state_dict"),
    ):
        rec.load_state_dict(state)  # type: ignore[arg-type]


def test_a_recorder_that_is_disabled_has_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERAGE_AUDIT_DISABLE", "1")
    rec = ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4))
    state = rec.state_dict()
    rec.load_state_dict(state)
    assert state == {"tag": "disabled:train:1", "epoch": 0, "in_epoch": False, "steps": 0}
    assert not (tmp_path / "run.parquet.state").exists()
