"""wrap() of a loader and accelerator.prepare(): what is recorded is what the loop got, and not what was pulled ahead.

The loops are in accelerate_scenarios.py, which run in processes of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import run, run_ranks, told

import coverage_audit as ca
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("accelerate_scenarios.py")
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "ACCELERATE_USE_CPU": "1"}
SCENARIOS = [
    *("left_early", "two_workers", "prepared_then_wrapped", "stream", "skipping", "skipping_in_a_stream"),
    *("skipping_unprepared", "stateful"),
]


def codes(log: Path) -> list[str]:
    return [finding.code for finding in ca.audit(log).findings]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accelerate")
    run(SCRIPT, folder, **QUIET)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    run_ranks(SCRIPT, folder, "two", **QUIET)
    return folder


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    for life in ("first", "second"):
        run(SCRIPT, folder, life, **QUIET)
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_log_holds_what_the_loop_got(folder: Path, name: str) -> None:
    """
    GIVEN a prepared loader, which is one batch ahead of its loop, and a loop that leaves it, or skips batches
    WHEN each batch says itself which rows it holds
    THEN the log says the same, batch by batch, and nothing of what was pulled and not handed out
    """
    truth = told(folder, name)
    assert [list(b.rows or ()) for b in recorded_batches(folder / f"{name}.parquet")] == truth["wrapped"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_loop_gets_what_it_got_without_recording(folder: Path, name: str) -> None:
    """GIVEN the same seeds WHEN bare and wrapped THEN equal batches in equal order."""
    truth = told(folder, name)
    assert truth["wrapped"] == truth["bare"]


@pytest.mark.parametrize(
    ("name", "found", "steps"),
    [("padded", ["CA404"], 2), ("split", ["CA404"], 3), ("uneven", ["CA406"], 2), ("even", [], 2)],
)
def test_two_processes(two: Path, name: str, found: list[str], steps: int) -> None:
    """
    GIVEN two processes, each with its share of the batches of one wrapped loader
    WHEN accelerate completes batches from the start of the data, or does not
    THEN each rank's log says what its loop got, and the first cause is the padding
    """
    log = two / f"{name}.parquet"
    got = [told(two, f"{name}-{rank}") for rank in range(2)]
    assert [list(b.rows or ()) for b in recorded_batches(log)] == [*got[0], *got[1]]
    assert [code for code in codes(log) if code.startswith("CA4")] == found
    assert int(ca.audit(log).epochs["steps"].iloc[0]) == steps


def test_batches_that_one_process_reads_for_all_are_unknown(two: Path) -> None:
    """GIVEN dispatch_batches WHEN nothing in a batch says its rows THEN no rank says it has others' rows."""
    log = two / "dispatched.parquet"
    assert [b.rows for b in recorded_batches(log)] == [None] * 8
    assert "CA904" in codes(log)


@pytest.mark.parametrize(("name", "found"), [("right", []), ("again", ["CA503"])])
def test_two_lifetimes(lives: Path, name: str, found: list[str]) -> None:
    """
    GIVEN a run left in its second pass, two batches after ``save_state``
    WHEN another process goes on from that state, with ``skip_first_batches`` or without
    THEN what the weights saw is one visit of each row, or the pass was begun again
    """
    result = ca.audit(lives / f"{name}.parquet")
    assert [finding.code for finding in result.findings][:1] == found
    assert result.verdict.name == ("FAIL" if found else "PASS")


def test_a_prepared_loader_is_wrapped_once(tmp_path: Path) -> None:
    """GIVEN a recorded loader WHEN it was prepared THEN it is not wrapped again."""
    script = (
        "import torch, coverage_audit as ca\n"
        "from coverage_audit.errors import CoverageAuditError\n"
        "from accelerate import Accelerator\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = ca.wrap(DataLoader(TensorDataset(torch.arange(4)))"
        + f", ca.Dataset.of(4), {str(tmp_path / 'r')!r})\n"
        "try:\n    ca.wrap(Accelerator(cpu=True).prepare(loader))\n"
        "except CoverageAuditError as error:\n    print(error.slug)\n"
    )
    assert run("-c", script, **QUIET) == "wrapped-twice\n"
