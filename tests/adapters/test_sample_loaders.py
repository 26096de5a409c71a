"""Hugging Face datasets and WebDataset shards through loaders with workers, ranks and restarts: what the log says.

The loops are in sample_loader_scenarios.py, which run in a process of their own; here their logs are held against what
the loops got.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_runs import names_in, run, told

from coverage_audit.auditor import audit
from coverage_audit.model.finding import Severity
from coverage_audit.testing.recorded import RecordedBatch, recorded_batches

SCRIPT = Path(__file__).with_name("sample_loader_scenarios.py")
SCENARIOS = names_in(SCRIPT)

FAULTS = {
    "wds_replicated_workers": ["CA402"],
    "wds_replicated_ranks": ["CA401"],
    "hf_resumed_steps": ["CA502"],
    "hf_resumed_without_its_buffer": ["CA502"],
}
"""The errors of those that are wrong, by their first causes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample_loaders")
    run(SCRIPT, folder, PYTHONWARNINGS="ignore", HF_HOME=str(folder / "hf"))
    return folder


def with_log(folder: Path, name: str) -> tuple[dict[str, Any], list[RecordedBatch]]:
    return told(folder, name), recorded_batches(folder / f"{name}.parquet")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_batch_is_recorded_with_its_rows(folder: Path, name: str) -> None:
    """GIVEN a real loop WHEN each sample says itself which row it is THEN the log says the same, batch by batch."""
    truth, recorded = with_log(folder, name)
    assert [None if batch.rows is None else list(batch.rows) for batch in recorded] == truth["rows"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_right_passes_and_what_is_wrong_is_named(folder: Path, name: str) -> None:
    """GIVEN correct loaders and faulty ones WHEN audited THEN only the faulty fail, each by its own cause."""
    result = audit(folder / f"{name}.parquet")
    errors = [finding.code for finding in result.findings if finding.severity is Severity.ERROR]
    assert (result.verdict.value, errors) == (("fail", FAULTS[name]) if name in FAULTS else ("pass", []))


@pytest.mark.parametrize(
    ("name", "workers"),
    [("wds_alone", 0), ("wds_two_workers", 2), ("wds_four_workers", 4), ("wds_spawned", 2), ("wds_loader", 2)],
)
def test_each_worker_has_its_share_of_the_shards(folder: Path, name: str, workers: int) -> None:
    """GIVEN webdataset's own splitting of eight shards of 30 samples WHEN recorded THEN each worker has its own."""
    seen: dict[int, set[int]] = {}
    for batch in with_log(folder, name)[1]:
        assert batch.rows is not None
        seen.setdefault(batch.worker, set()).update(row // 30 for row in batch.rows)
    assert seen == ({worker: set(range(worker, 8, workers)) for worker in range(workers)} or {-1: set(range(8))})


def test_rows_lost_with_a_shuffle_buffer_fail(folder: Path) -> None:
    """GIVEN a resume that refills its buffer with new rows WHEN yields alone are known THEN the pass is not whole."""
    result = audit(folder / "hf_resumed_without_its_buffer.parquet")
    truth, _ = with_log(folder, "hf_resumed_without_its_buffer")
    first_pass = {row for batch in truth["rows"][:-30] for row in batch}
    assert result.verdict.value == "fail"
    assert sum(epoch["missed"] for epoch in result.epochs.to_dict("records")) == truth["n"] - len(first_pass) > 0
