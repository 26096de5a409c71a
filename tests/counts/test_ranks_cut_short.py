"""A rank that broke off before the checkpoint that all ranks went on from: its record does not reach that far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Found, Mark, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.testing.logs import write_log
from coverage_audit.testing.runs import shards_of

SHARDS = shards_of(8)
FIRST, SECOND = ((0, 1), (2, 3)), ((4, 5), (6, 7))
"""The batches of an epoch, of either rank."""
NAMED = "writer a000-r0001-p0001 broke off before the checkpoint that attempt 1 restored"


def mark(kind: MarkKind, **data: Any) -> Mark:
    return Mark(kind, "train", 0, data)


def life(
    batches: tuple[tuple[int, ...], ...],
    *,
    epoch: int = 2,
    trained: bool = True,
    load: str = "",
    save: str = "",
    closed: bool = False,
) -> list[Event]:
    """One process: epochs of ``epoch`` batches each, a checkpoint after the last one."""
    out = [mark(MarkKind.FIT_BEGIN, peek=-1)] if trained else []
    out += [mark(MarkKind.RESTORED, tag=load)] if load else []
    out.append(mark(MarkKind.OPENED, segment=0))
    events: list[Event] = [*out]
    for at, batch in enumerate(batches):
        if trained and at % epoch == 0:
            events.append(mark(MarkKind.EPOCH_BEGIN))
        rows = BatchRows(len(batch), ids=np.array(batch, np.int64))
        events.append(Batch("train", at, rows, int(Found.EXPLICIT)))
        if trained:
            events.append(Consumed("train", 1))
            events += [mark(MarkKind.EPOCH_END)] if at % epoch == epoch - 1 else []
    events += [mark(MarkKind.CHECKPOINT, tag=save)] if save else []
    return [*events, Mark(MarkKind.CLOSED)] if closed else events


def audited(path: Path, lives: dict[tuple[int, int], list[Event]]) -> AuditResult:
    """``lives``: by attempt and rank."""
    for (restart, rank), events in lives.items():
        write_log(
            path, SHARDS, events, splits=[SplitInfo("train", SHARDS.fingerprint)], rank=rank, world_size=2,
            restart=restart,
        )  # fmt: skip
    return ca.audit(path)


def told(result: AuditResult) -> list[str]:
    return [f.message for f in result.findings if f.code == "CA901"]


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_rank_that_did_not_get_to_the_checkpoint_is_named(tmp_path: Path, trained: bool, steps: int) -> None:
    """GIVEN a checkpoint of the first rank after four steps WHEN the other was killed before WHEN both go on from it
    THEN nobody knows what the other did until then."""
    result = audited(
        tmp_path / "run.parquet",
        {
            (0, 0): life(FIRST + FIRST, trained=trained, save="c"),
            (0, 1): life((SECOND + SECOND)[:steps], trained=trained),
            (1, 0): life(FIRST, trained=trained, load="c", closed=True),
            (1, 1): life(SECOND, trained=trained, load="c", closed=True),
        },
    )

    assert (result.verdict, told(result)) == (Verdict.INCOMPLETE, [NAMED])


@pytest.mark.parametrize("trained", [True, False])
def test_ranks_killed_after_the_checkpoint_are_whole(tmp_path: Path, trained: bool) -> None:
    """GIVEN ranks that both took the steps before the checkpoint THEN how their records end does not matter."""
    result = audited(
        tmp_path / "run.parquet",
        {
            (0, 0): life(FIRST, trained=trained, save="c"),
            (0, 1): life(SECOND, trained=trained),
            (1, 0): life(FIRST, trained=trained, load="c", closed=True),
            (1, 1): life(SECOND, trained=trained, load="c", closed=True),
        },
    )

    assert told(result) == []
    assert result.verdict is (Verdict.PASS if trained else result.verdict)


def test_a_rank_with_less_data_that_ended_as_many_epochs_is_whole(tmp_path: Path) -> None:
    """GIVEN ranks of two steps and of one an epoch WHEN the first saves between epochs THEN the other got there."""
    result = audited(
        tmp_path / "run.parquet",
        {
            (0, 0): life(((0, 1, 2), (3, 4, 5)), save="c"),
            (0, 1): life(((6, 7),), epoch=1),
            (1, 0): life(((0, 1, 2), (3, 4, 5)), load="c", closed=True),
            (1, 1): life(((6, 7),), epoch=1, load="c", closed=True),
        },
    )

    assert told(result) == []


def test_a_rank_that_saved_for_itself_is_whole(tmp_path: Path) -> None:
    """GIVEN ranks that each tell where they saved THEN each got to its own checkpoint."""
    result = audited(
        tmp_path / "run.parquet",
        {
            (0, 0): life(FIRST + FIRST, save="c"),
            (0, 1): life(SECOND, save="c"),
            (1, 0): life(FIRST, load="c", closed=True),
            (1, 1): life(SECOND, load="c", closed=True),
        },
    )

    assert told(result) == []
