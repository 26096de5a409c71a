"""wrap() of a loader and accelerator.prepare(): what is recorded is what the loop got, and not what was pulled ahead.

The loops are in accelerate_scenarios.py, which run in processes of their own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import coverage_audit as ca
from coverage_audit.testing.recorded import recorded_batches

SCRIPT = Path(__file__).with_name("accelerate_scenarios.py")
SCENARIOS = [
    *("left_early", "two_workers", "prepared_then_wrapped", "stream", "skipping", "skipping_in_a_stream"),
    *("skipping_unprepared", "stateful"),
]


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COVERAGE_AUDIT_RUN_ID", "COVERAGE_AUDIT_LOG")}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), *map(str, arguments)],
        env=kept | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(*processes: subprocess.Popen[str]) -> None:
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(said)


def codes(log: Path) -> list[str]:
    return [finding.code for finding in ca.audit(log).findings]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accelerate")
    wait_for(start(folder))
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "two"}
    wait_for(*(start(folder, "two", **common, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)))
    return folder


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    for life in ("first", "second"):
        wait_for(start(folder, life))
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_log_holds_what_the_loop_got(folder: Path, name: str) -> None:
    """
    GIVEN a prepared loader, which is one batch ahead of its loop, and a loop that leaves it, or skips batches
    WHEN each batch says itself which rows it holds
    THEN the log says the same, batch by batch, and nothing of what was pulled and not handed out
    """
    truth = json.loads((folder / f"{name}.json").read_text())
    assert [list(b.rows or ()) for b in recorded_batches(folder / f"{name}.parquet")] == truth["wrapped"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_loop_gets_what_it_got_without_recording(folder: Path, name: str) -> None:
    """GIVEN the same seeds WHEN bare and wrapped THEN equal batches in equal order."""
    truth = json.loads((folder / f"{name}.json").read_text())
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
    got = [json.loads((two / f"{name}-{rank}.json").read_text()) for rank in range(2)]
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
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "wrapped-twice\n", done.stderr
