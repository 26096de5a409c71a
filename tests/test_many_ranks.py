"""Ranks as real processes, started as a launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import coverage_audit as ca
from coverage_audit.model.finding import Severity
from coverage_audit.result import AuditResult, Verdict

SCRIPT = Path(__file__).with_name("many_ranks_script.py")
TORCHRUN = {"TORCHELASTIC_RUN_ID": "one", "TORCHELASTIC_RESTART_COUNT": "0"}
Processes = list["subprocess.Popen[str]"]


def start(scenario: str, log: Path, run: dict[str, str], ranks: Sequence[int] = range(4), size: int = 4) -> Processes:
    """One process per rank; ``run``: the variables that say which run this is."""
    known = ("TORCHELASTIC", "SLURM", "OMPI", "PMI", "COVERAGE_AUDIT", "TF_CONFIG")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(known)}
    return [
        subprocess.Popen(
            [sys.executable, SCRIPT, scenario, log],
            env={**clean, **run, "RANK": str(rank), "WORLD_SIZE": str(size)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]


def finish(processes: Processes) -> list[tuple[int, str]]:
    """(exit status, what it said on stderr) of each."""
    return [(p.wait(), said) for p in processes for _, said in [p.communicate(timeout=120)]]


def launch(scenario: str, log: Path, run: dict[str, str], ranks: Sequence[int] = range(4)) -> list[int]:
    ended = finish(start(scenario, log, run, ranks))
    return [status for status, _ in ended]


def codes(result: AuditResult) -> list[str]:
    """Findings above a note, habits of order aside."""
    return [f.code for f in result.findings if f.severity is not Severity.INFO and not f.code.startswith("CA3")]


@pytest.mark.parametrize("run", [TORCHRUN, {"COVERAGE_AUDIT_RUN_ID": "one"}], ids=["torchrun", "own id"])
def test_four_ranks_share_one_log(tmp_path: Path, run: dict[str, str]) -> None:
    """GIVEN four processes of one launch that divide the rows WHEN they name one log THEN it holds one whole run."""
    log = tmp_path / "run.parquet"
    assert launch("divided", log, run) == [0, 0, 0, 0]
    result = ca.audit(log)
    assert (result.verdict, codes(result)) == (Verdict.PASS, [])
    assert (result.run.run_id, result.run.attempts, result.run.ranks) == ("one", 1, 4)
    assert result.ranks[["rank", "steps", "visits"]].to_numpy().tolist() == [[r, 12, 48] for r in range(4)]
    assert result.epochs[["steps", "needed", "visits", "missed"]].to_numpy().tolist() == [[6, 6, 96, 0]] * 2


def test_every_rank_with_a_log_of_its_own(tmp_path: Path) -> None:
    assert launch("own log", tmp_path / "run", TORCHRUN) == [0, 0, 0, 0]
    logs = [tmp_path / f"run-{rank}.parquet" for rank in range(4)]
    result = ca.audit(logs)
    assert (result.verdict, codes(result)) == (Verdict.PASS, [])
    alone = ca.audit(logs[1])
    assert (alone.verdict, codes(alone)[0]) == (Verdict.INCOMPLETE, "CA902")


def test_ranks_without_a_shared_id_are_refused(tmp_path: Path) -> None:
    (status, said), *_ = finish(start("divided", tmp_path / "run.parquet", {}, [1]))
    assert status == 1
    assert "rank 1 of 4 has no run id to share with the others" in said


def test_another_run_archives_the_log(tmp_path: Path) -> None:
    """GIVEN a finished run of four ranks WHEN another one names its log THEN each is whole, and apart."""
    log = tmp_path / "run.parquet"
    assert launch("everything", log, {"COVERAGE_AUDIT_RUN_ID": "first"}) == [0, 0, 0, 0]
    assert launch("divided", log, {"COVERAGE_AUDIT_RUN_ID": "second"}) == [0, 0, 0, 0]
    second, first = ca.audit(log), ca.audit(tmp_path / "run.parquet.prev-first")
    assert (second.run.run_id, second.verdict, second.run.ranks) == ("second", Verdict.PASS, 4)
    assert (first.run.run_id, first.run.ranks, codes(first)[0]) == ("first", 4, "CA401")


def test_another_run_cannot_take_a_log_that_is_written(tmp_path: Path) -> None:
    """GIVEN four ranks in the middle of a run WHEN another run names their log THEN it is refused, and they finish."""
    log = tmp_path / "run.parquet"
    running = start("waiting", log, TORCHRUN)
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("go-*-waits"))) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    refused = finish(start("divided", log, {"COVERAGE_AUDIT_RUN_ID": "another"}, [0, 1]))
    (tmp_path / "go").touch()
    assert [status for status, _ in finish(running)] == [0, 0, 0, 0]
    assert [status for status, _ in refused] == [1, 1]
    assert all("run.parquet" in said for _, said in refused)
    result = ca.audit(log)
    assert (result.run.run_id, result.run.ranks, result.verdict) == ("one", 4, Verdict.PASS)


def test_a_killed_rank(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    assert launch("killed", log, TORCHRUN) == [0, 0, -9, 0]
    result = ca.audit(log)
    assert (result.verdict, result.exit_status, codes(result)[0]) == (Verdict.INCOMPLETE, 3, "CA901")
    assert "a000-r0002-p0001" in result.findings[0].message


def test_an_absent_rank_though_the_others_cover_everything(tmp_path: Path) -> None:
    """GIVEN three of four ranks that together read every row WHEN judged THEN it is no pass all the same."""
    log = tmp_path / "run.parquet"
    assert launch("everything", log, TORCHRUN, [0, 1, 3]) == [0, 0, 0]
    result = ca.audit(log)
    assert (result.verdict, result.exit_status) == (Verdict.INCOMPLETE, 3)
    assert {f.code: f.message for f in result.findings}["CA902"] == "rank 2 of 4 left no record"


def test_peers_that_read_the_same_rows_count_once(tmp_path: Path) -> None:
    """GIVEN pairs of processes with one data-parallel index each WHEN both record THEN every row counts once."""
    log = tmp_path / "run.parquet"
    assert launch("peers", log, TORCHRUN) == [0, 0, 0, 0]
    result = ca.audit(log)
    assert (result.verdict, codes(result), result.run.ranks) == (Verdict.PASS, [], 2)
    assert result.epochs[["visits", "repeated"]].to_numpy().tolist() == [[96, 0]] * 2


@pytest.fixture(scope="module")
def gloo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks in a real process group, a log per rank and loader."""
    log = tmp_path_factory.mktemp("gloo") / "run"
    ended = finish(start("gloo", log, TORCHRUN, range(2), 2))
    assert [status for status, _ in ended] == [0, 0], ended
    return log


@pytest.mark.parametrize(
    ("name", "verdict", "first"),
    [
        ("even", Verdict.PASS, []),
        ("padded", Verdict.PASS, ["CA404"]),
        ("dropped", Verdict.FAIL, ["CA103"]),
        ("copies", Verdict.FAIL, ["CA401", "CA402"]),
        ("few", Verdict.PASS, ["CA407"]),
    ],
)
def test_two_ranks_of_a_process_group(gloo: Path, name: str, verdict: Verdict, first: list[str]) -> None:
    """GIVEN DataLoaders of two gloo ranks WHEN their logs are judged together THEN the first cause is named."""
    result = ca.audit([f"{gloo}-{name}-{rank}.parquet" for rank in range(2)])
    found = codes(result)
    assert (result.verdict, found[:1]) == (verdict, first[:1]), [(f.code, f.message) for f in result.findings]
    assert result.splits[0].totals.unexplained == 0
