"""wrap(DataLoader): what is recorded is what the loop got, batch by batch, and the loop gets what it always got.

The loops are in torch_data_scenarios.py, which run in a process of their own; here their logs are held against theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_runs import finish, names_in, run, start, told

import coverage_audit as ca
from coverage_audit.testing.recorded import RecordedBatch, recorded_batches

SCRIPT = Path(__file__).with_name("torch_data_scenarios.py")
SCENARIOS = names_in(SCRIPT)

KNOWN_TOO = {
    "samples_dropped": [36, 37, 38, 39],
    "read_together_dropping": [36, 37, 38, 39],
    "lists_of_indices_dropping": [36, 37, 38, 39],
}
"""Batches of these that nothing is wrong with."""

UNKNOWN = {
    "samples_dropped": "the collate function or the dataset made another number of rows of a batch",
    "read_together_dropping": "the collate function or the dataset made another number of rows of a batch",
    "lists_of_indices_dropping": "the collate function or the dataset made another number of rows of a batch",
    "subset_of_another_kind": "no array of the batch is known to hold rows of the declared data",
    "stream_without_ids": "no array of the batch is known to hold rows of the declared data",
}
"""Where nothing says what the rows are; and what is said of that."""


IN_ANOTHER_ORDER = {"files_in_another_order", "last_files_in_another_order"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch_data")
    run(SCRIPT, folder, PYTHONWARNINGS="ignore")
    return folder


def with_log(folder: Path, name: str) -> tuple[dict[str, Any], list[RecordedBatch]]:
    return told(folder, name), recorded_batches(folder / f"{name}.parquet")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_log_holds_what_the_loop_got(folder: Path, name: str) -> None:
    """
    GIVEN a real loop over a wrapped DataLoader
    WHEN each batch says itself which rows it holds and which worker made it
    THEN the log says the same, batch by batch, or that it is unknown where nothing can tell
    """
    truth, recorded = with_log(folder, name)
    rows = [None if batch.rows is None else list(batch.rows) for batch in recorded]
    if name in UNKNOWN:
        assert rows == [row if row == KNOWN_TOO.get(name) else None for row in truth["rows"]]
    else:
        assert rows == truth["rows"]
    assert [batch.worker for batch in recorded] == truth["workers"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_loop_gets_what_it_got_without_recording(folder: Path, name: str) -> None:
    """GIVEN the same seeds WHEN bare and wrapped THEN equal batches, of equal types, and equal random states after."""
    truth, _ = with_log(folder, name)
    assert truth["is_itself"]
    assert truth["as_bare"]
    assert truth["same_states"]


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - UNKNOWN.keys() - IN_ANOTHER_ORDER))
def test_nothing_is_warned_of_where_all_is_known(folder: Path, name: str) -> None:
    assert with_log(folder, name)[0]["warnings"] == []


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_unknown_rows_are_said_once(folder: Path, name: str) -> None:
    (warning,) = with_log(folder, name)[0]["warnings"]
    assert UNKNOWN[name] in warning


@pytest.mark.parametrize("name", sorted(IN_ANOTHER_ORDER))
def test_files_in_another_order_are_found_out(folder: Path, name: str) -> None:
    """GIVEN positions that count through the files in another order than declared THEN rows by what batches hold."""
    (warning,) = with_log(folder, name)[0]["warnings"]
    assert "the samples at the positions of the sampler are other rows of the data" in warning


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("in_this_process", [0] * 7 + [1] * 7),
        ("persistent", [0] * 7 + [1] * 7),
        ("left_early_persistent", [0] * 3 + [1] * 3),
        ("used_before", [0] * 7 + [1] * 7),
        ("two_at_once", [0, 1] * 7),
        ("never_asked", [0] * 7),
        ("stateful_resumed", [0] * 5 + [1] * 4 + [2] * 7),
        ("stateful_at_the_end", [0] * 7 + [1] * 7 + [2] * 7),
        ("failing_in_a_worker", [0] * 6 + [1] * 6),
        ("files_iterated_left_early", [0] * 3 + [1] * 3),
    ],
)
def test_each_iteration_is_a_pass(folder: Path, name: str, passes: list[int]) -> None:
    """GIVEN ``iter()`` again and again THEN each is a pass; one that is never asked for a batch is none."""
    assert [batch.pass_ for batch in with_log(folder, name)[1]] == passes


def test_a_batch_that_failed_was_not_delivered(folder: Path) -> None:
    """GIVEN row 9 that cannot be read WHEN the loop goes on THEN its batch is missing, and no other."""
    truth, recorded = with_log(folder, "failing")
    assert truth["errors"] == ["RuntimeError", "RuntimeError"]
    assert [list(b.rows) for b in recorded[:6] if b.rows is not None] == [
        [0, 1, 2, 3, 4, 5],
        [12, 13, 14, 15, 16, 17],
        [18, 19, 20, 21, 22, 23],
        [24, 25, 26, 27, 28, 29],
        [30, 31, 32, 33, 34, 35],
        [36, 37, 38, 39],
    ]


@pytest.mark.parametrize(
    ("name", "verdict", "first_causes"),
    [
        ("as_it_should_be", "PASS", []),
        ("every_worker_reads_all", "FAIL", ["CA402"]),
        ("every_worker_drops_its_last", "FAIL", ["CA103"]),
        ("the_same_are_dropped", "FAIL", ["CA103"]),
        ("with_replacement", "FAIL", ["CA203"]),
    ],
)
def test_the_first_cause_of_what_went_wrong(folder: Path, name: str, verdict: str, first_causes: list[str]) -> None:
    """GIVEN a loader that is right, or wrong in one known way THEN the audit says so, and why."""
    result = ca.audit(folder / f"{name}.parquet")
    errors = [finding.code for finding in result.findings if finding.severity.name == "ERROR"]
    assert (result.verdict.name, errors) == (verdict, first_causes)


def test_ranks_of_a_distributed_sampler_are_padded(folder: Path) -> None:
    """GIVEN two processes that share 11 rows WHEN each records its own THEN one row of 12 is padding."""
    finish(*(start(SCRIPT, folder, "rank", rank, PYTHONWARNINGS="ignore") for rank in range(2)))
    result = ca.audit(folder / "ranks.parquet")
    assert [finding.code for finding in result.findings if not finding.claimed_by] == ["CA404"]
    assert sorted(len(batch.rows or ()) for batch in recorded_batches(folder / "ranks.parquet")) == [2] * 12
