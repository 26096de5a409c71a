"""Three lives of one run, two of them ended by SIGKILL: what is counted is what the final weights really saw."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import coverage_audit as ca
from coverage_audit.result import AuditResult, Verdict

LIVES = (25, 9, 0)


def live(folder: Path, how: str, lives: tuple[int, ...] = LIVES) -> AuditResult:
    script = Path(__file__).with_name("resumed_loop.py")
    for die_at in lives:
        done = subprocess.run([sys.executable, str(script), str(folder), how, str(die_at)], check=False, timeout=60)
        assert done.returncode == (-signal.SIGKILL if die_at else 0)
    return ca.audit(folder / "run.parquet")


def causes(result: AuditResult) -> list[str]:
    """Codes of the findings that are errors, in order."""
    return [f.code for f in result.findings if f.severity.value == "error"]


@pytest.mark.parametrize("how", ["exact", "begin", "reshuffled", "offset"])
def test_counts_are_what_the_final_weights_saw(tmp_path: Path, how: str) -> None:
    counts = live(tmp_path, how).splits[0].counts

    seen = Counter((e, r) for e, r in json.loads((tmp_path / "weights.json").read_text()))
    visits = Counter(row for _, row in seen.elements())
    assert counts.run_visits.tolist() == [visits[row] for row in range(64)]
    assert [(e.epoch, e.visits, e.unique) for e in counts.epochs] == [
        (n, sum(t for (e, _), t in seen.items() if e == n), sum(e == n for e, _ in seen)) for n in range(3)
    ]
    assert counts.visits == seen.total() < counts.all_visits


def test_a_run_killed_twice_and_resumed_exactly_passes(tmp_path: Path) -> None:
    result = live(tmp_path, "exact")

    assert result.verdict is Verdict.PASS
    assert [f.code for f in result.findings] == []
    counts = result.splits[0].counts
    assert [(e.epoch, e.complete, e.steps, e.missed.size, e.surplus) for e in counts.epochs] == [
        (0, True, 16, 0, 0),
        (1, True, 16, 0, 0),
        (2, True, 16, 0, 0),
    ]
    assert [(a.steps, a.steps_kept, a.state) for a in counts.attempts] == [
        (25, 24, "open"),
        (9, 6, "open"),
        (18, 18, "closed"),
    ]


@pytest.mark.parametrize(("how", "cause"), [("begin", "CA503"), ("reshuffled", "CA505"), ("offset", "CA504")])
def test_a_resume_that_is_wrong_is_named(tmp_path: Path, how: str, cause: str) -> None:
    result = live(tmp_path, how, (25, 0))

    assert result.verdict is Verdict.FAIL
    assert causes(result) == [cause]
    assert result.splits[0].totals.unexplained == 0


def attempt(log: Path, n: int, epochs: list[list[list[int]]], save_at: int = 0, restored: bool = False) -> None:
    """One attempt: epochs of batches; stops after ``save_at`` steps, which it saves."""
    with ca.Recorder(log, ca.Dataset.of(n, name="x"), run_id="r") as rec:
        if restored:
            rec.restored("saved")
        steps = 0
        for batches in epochs:
            with rec.epoch():
                for batch in batches:
                    rec.step(batch)
                    steps += 1
                    if steps == save_at:
                        rec.checkpoint("saved")
                        return


def in_batches(rows: list[int], size: int) -> list[list[int]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def test_a_shuffle_buffer_that_is_lost_leaves_rows_out(tmp_path: Path) -> None:
    """D4: Hugging Face datasets resume without what lay in the buffer; the next epoch is whole again."""
    import datasets

    def shuffled() -> datasets.IterableDataset:
        source = datasets.Dataset.from_dict({"i": list(range(100))}).to_iterable_dataset(num_shards=1)
        return source.shuffle(seed=7, buffer_size=20)

    first, resumed, whole = shuffled(), shuffled(), shuffled()
    rows: list[int] = []
    for row in first:
        rows.append(row["i"])
        if len(rows) == 30:
            state = first.state_dict()
            break
    resumed.load_state_dict(state)
    rest = [row["i"] for row in resumed]
    whole.set_epoch(1)
    log = tmp_path / "run.parquet"
    attempt(log, 100, [in_batches(rows, 1)], save_at=30)
    attempt(log, 100, [in_batches(rest, 1), in_batches([row["i"] for row in whole], 1)], restored=True)

    result = ca.audit(log)

    assert causes(result) == ["CA502"]
    counts = result.splits[0].counts
    assert counts.epochs[0].missed.size == 100 - len({*rows, *rest}) > 5
    assert result.splits[0].totals.unexplained == 0


def test_an_order_drawn_anew_repeats_as_many_as_it_misses(tmp_path: Path) -> None:
    """R1: the state of the generator in the middle of the epoch gives another permutation, of which 5 batches are
    skipped."""
    import torch

    generator = torch.Generator().manual_seed(3)
    numbers: Any = range(64)
    loader: Any = torch.utils.data.DataLoader(numbers, 4, shuffle=True, generator=generator)
    first = [batch.tolist() for batch in loader][:5]
    again = [batch.tolist() for batch in loader][5:]
    log = tmp_path / "run.parquet"
    attempt(log, 64, [first], save_at=5)
    attempt(log, 64, [again, [b.tolist() for b in loader]], restored=True)

    result = ca.audit(log)

    assert causes(result) == ["CA505"]
    epoch = result.splits[0].counts.epochs[0]
    assert epoch.missed.size == epoch.surplus > 5
    assert result.splits[0].totals.unexplained == 0


def test_the_step_goes_on_and_the_data_begins_again(tmp_path: Path) -> None:
    """L3: the first 24 of 64 rows twice, the last 24 never."""
    rows = in_batches(list(range(64)), 4)
    log = tmp_path / "run.parquet"
    attempt(log, 64, [rows], save_at=6)
    attempt(log, 64, [rows[:10], rows], restored=True)

    result = ca.audit(log)

    assert causes(result) == ["CA503"]
    epoch = result.splits[0].counts.epochs[0]
    assert (epoch.missed.size, epoch.surplus) == (24, 24)
    assert epoch.missed.ids().tolist() == list(range(40, 64))


def test_a_loader_state_older_than_the_weights_repeats_rows(tmp_path: Path) -> None:
    rows = in_batches(list(range(64)), 4)
    log = tmp_path / "run.parquet"
    attempt(log, 64, [rows], save_at=6)
    attempt(log, 64, [rows[4:], rows], restored=True)

    assert causes(ca.audit(log)) == ["CA501"]


def test_prefetched_batches_that_are_lost_are_missed(tmp_path: Path) -> None:
    rows = in_batches(list(range(64)), 4)
    log = tmp_path / "run.parquet"
    attempt(log, 64, [rows], save_at=6)
    attempt(log, 64, [rows[8:], rows], restored=True)

    result = ca.audit(log)

    assert causes(result) == ["CA502"]
    assert result.splits[0].counts.epochs[0].missed.ids().tolist() == list(range(24, 32))


@pytest.mark.parametrize("size", [4, 5])
def test_dropped_remainders_are_no_fault_of_a_resume(tmp_path: Path, size: int) -> None:
    """WHEN each epoch leaves out what fills no batch THEN a right resume stays silent about it."""
    rows = [b for b in in_batches(list(range(63)), size) if len(b) == size]
    log = tmp_path / "run.parquet"
    attempt(log, 63, [rows], save_at=6)
    attempt(log, 63, [rows[6:], rows], restored=True)

    assert [f.code for f in ca.audit(log).findings if f.code.startswith("CA5")] == []


def test_a_loader_that_tells_its_passes_goes_on_or_begins_again(tmp_path: Path) -> None:
    """GIVEN yields only, and passes told by iter() THEN the first pass of the next attempt is the rest of the cut one,
    unless its rows say that the data began again."""
    rows = in_batches(list(range(64)), 4)

    def yields(log: Path, batches: list[list[list[int]]], stop: int = 0, restored: bool = False) -> None:
        for at, one in enumerate(batches):
            loader = ca.wrap(one, ca.Dataset.of(64, name="x"), log, ids=lambda batch: (batch, batch), run_id="r")
            if restored and at == 0:
                loader.recorder.restored("saved")
            for number, _ in enumerate(loader, 1):
                if number == stop:
                    loader.recorder.checkpoint("saved")
                    break
        loader.recorder.close()

    right, wrong = tmp_path / "right.parquet", tmp_path / "wrong.parquet"
    yields(right, [rows], stop=6)
    yields(right, [rows[6:], rows], restored=True)
    yields(wrong, [rows], stop=6)
    yields(wrong, [rows, rows], restored=True)

    counts = ca.audit(right).splits[0].counts
    assert [(p.pass_, p.complete, p.batches, p.missed.size, p.repeated) for p in counts.passes] == [
        (0, True, 16, 0, 0), (1, True, 16, 0, 0),
    ]  # fmt: skip
    assert causes(ca.audit(right)) == []
    counts = ca.audit(wrong).splits[0].counts
    assert [(p.pass_, p.complete, p.batches) for p in counts.passes] == [(0, False, 6), (1, True, 16), (2, True, 16)]
    assert causes(ca.audit(wrong)) == ["CA503"]
