"""Two ranks stopped and gone on with: what the weights saw is of both, and a silent rank did what the other did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import coverage_audit as ca
from coverage_audit.result import AuditResult, Verdict

N, B = 64, 4


def batches_of(rank: int, size: int) -> list[list[int]]:
    """Every ``size``-th row, in batches."""
    rows = list(range(rank, N, size))
    return [rows[at : at + B] for at in range(0, len(rows), B)]


def live(
    log: Path, rank: int, size: int, epochs: list[list[list[int]]], *, save_at: int = 0, tag: str | None = None,
    tells: bool = True,
) -> None:  # fmt: skip
    """One life of a rank: restores ``tag`` where it is one, saves "a" after ``save_at`` steps and dies after one more.

    ``tells``: it says what it saves and restores.
    """
    rec = ca.Recorder(log, ca.Dataset.of(N, name="x"), batch_size=B, run_id="ranks", data_parallel=(rank, size))
    if tag is not None and tells:
        rec.restored(tag)
    steps = 0
    for batches in epochs:
        with rec.epoch():
            for batch in batches:
                rec.step(batch)
                steps += 1
                if steps == save_at and tells:
                    rec.checkpoint("a")
                if save_at and steps == save_at + 1:
                    rec.close()
                    return
    rec.close()


def visits_of(result: AuditResult) -> list[int]:
    visits: list[int] = result.splits[0].counts.run_visits.tolist()
    return visits


@pytest.mark.parametrize("silent", [None, 0, 1])
def test_two_ranks_that_go_on_exactly_pass(tmp_path: Path, silent: int | None) -> None:
    """GIVEN both restore, or one of them that says nothing WHEN all go on THEN every row was seen once an epoch."""
    log = tmp_path / "run.parquet"
    for rank in range(2):
        mine = batches_of(rank, 2)
        live(log, rank, 2, [mine, mine], save_at=11, tells=rank != silent)
    for rank in range(2):
        mine = batches_of(rank, 2)
        live(log, rank, 2, [mine[3:], mine], tag="a", tells=rank != silent)

    result = ca.audit(log)

    assert (result.verdict, [f.code for f in result.findings if f.severity.value == "error"]) == (Verdict.PASS, [])
    assert visits_of(result) == [3] * N
    counts = result.splits[0].counts
    assert [(e.epoch, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, 8, 0, 0), (1, 8, 0, 0), (2, 8, 0, 0),
    ]  # fmt: skip
    assert [(a.steps, a.steps_kept) for a in counts.attempts] == [(12, 11), (13, 13)]


@pytest.mark.parametrize("sizes", [(2, 2), (2, 4), (4, 2)])
def test_a_first_epoch_that_all_ranks_had_ended_is_not_gone_on_with(tmp_path: Path, sizes: tuple[int, int]) -> None:
    """GIVEN no declared length, weights saved after the first epoch WHEN all go on THEN what comes is the next one."""
    log = tmp_path / "run.parquet"
    for attempt, size in enumerate(sizes):
        for rank in range(size):
            mine = batches_of(rank, size)
            if attempt == 0:
                live(log, rank, size, [mine, mine], save_at=len(mine))
            else:
                live(log, rank, size, [mine], tag="a")

    result = ca.audit(log)

    assert (result.verdict, [f.code for f in result.findings if f.severity.value == "error"]) == (Verdict.PASS, [])
    assert visits_of(result) == [2] * N
    assert [(e.epoch, e.steps, e.missed.size, e.surplus) for e in result.splits[0].counts.epochs] == [
        (0, N // B // sizes[0], 0, 0), (1, N // B // sizes[1], 0, 0),
    ]  # fmt: skip


def test_one_rank_that_begins_its_data_again_is_named(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    for rank in range(2):
        live(log, rank, 2, [batches_of(rank, 2)] * 2, save_at=11)
    for rank in range(2):
        mine = batches_of(rank, 2)
        live(log, rank, 2, [mine[3:] if rank == 0 else mine[:5], mine], tag="a")

    result = ca.audit(log)

    assert result.verdict is Verdict.FAIL
    assert next(f.code for f in result.findings if f.severity.value == "error") in ("CA501", "CA503")
    again = Counter(row for batch in batches_of(1, 2)[:3] for row in batch)
    lost = Counter(row for batch in batches_of(1, 2)[5:] for row in batch)
    assert visits_of(result) == [3 + again[row] - lost[row] for row in range(N)]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 4)])
def test_another_number_of_ranks_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int, counted: bool
) -> None:
    """GIVEN a run restored with fewer ranks, or more WHEN they share out what is left of the epoch THEN what the ranks
    that are gone had trained on until the checkpoint counts."""
    log = tmp_path / "run.parquet"
    for rank in range(before):
        live(log, rank, before, [batches_of(rank, before)] * 2, save_at=N // B // before + 2)
    seen = {row for rank in range(before) for batch in batches_of(rank, before)[:2] for row in batch}
    left = [row for row in range(N) if row not in seen]
    if counted:  # else a rank that was not there before knows by the number of ranks
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    for rank in range(after):
        mine = left[rank::after]
        rest = [mine[at : at + B] for at in range(0, len(mine), B)]
        live(log, rank, after, [rest, batches_of(rank, after)], tag="a")

    result = ca.audit(log)

    assert visits_of(result) == [3] * N
    epochs = result.splits[0].counts.epochs
    assert [(e.epoch, e.missed.size, e.surplus) for e in epochs] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert [f.code for f in result.findings if f.severity.value == "error"] == []
    assert result.verdict is Verdict.PASS
