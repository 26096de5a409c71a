"""wrap(DataLoader) where other rows come than were asked for: what is recorded came, or is unknown. Never another row.

The loops are in torch_others_scenarios.py, which runs in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scenario_runs

from coverage_audit.testing.recorded import RecordedBatch, recorded_batches

SCRIPT = Path(__file__).with_name("torch_others_scenarios.py")
SCENARIOS = scenario_runs.names_in(SCRIPT)

ANOTHER = "may give another sample than the one that it was asked for"
IN_PLACE = "may put other samples in place of those that it was given"
UNKNOWN = {
    "slotted": ("Next.__getitem__", ANOTHER),
    "trying": ("Trying.__getitem__", ANOTHER),
    "trying_in_workers": ("Trying.__getitem__", ANOTHER),
    "above": ("Above.__getitem__", ANOTHER),
    "of_next": ("Next.__getitem__", ANOTHER),
    "refilled_by_object": ("Refilling.__call__", IN_PLACE),
    "refilled_by_partial": ("refill ", IN_PLACE),
    "refilled_by_closure": ("closing_over.<locals>.collate", IN_PLACE),
    "refilled_by_method": ("Mixed.refilled", IN_PLACE),
    "repeated_by_collate": ("repeat ", IN_PLACE),
}
"""Where no batch is known: who is named, and what is said."""
IN_PART = {"made_anew": ("MadeAnew.__getitem__", "asked the dataset itself for another sample")}
"""Where those are unknown in which it came to that."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch_others")
    scenario_runs.run("-W", "ignore", SCRIPT, folder)
    return folder


def told(folder: Path, name: str) -> tuple[dict[str, Any], list[RecordedBatch]]:
    return scenario_runs.told(folder, name), recorded_batches(folder / f"{name}.parquet")


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_row_is_recorded_that_did_not_come(folder: Path, name: str) -> None:
    """GIVEN samples that say themselves which rows they are THEN the log says the same, or that it is unknown."""
    truth, recorded = told(folder, name)
    rows = [None if batch.rows is None else list(batch.rows) for batch in recorded]
    if name in UNKNOWN:
        assert rows == [None] * len(truth["rows"])
    elif name in IN_PART:
        assert rows == [None if row.count(0) > (0 in asked) else row for row, asked in in_order(truth["rows"])]
    else:
        assert rows == truth["rows"]
    assert [batch.worker for batch in recorded] == truth["workers"]


def in_order(rows: list[list[int]]) -> list[tuple[list[int], range]]:
    """Batches, and what was asked for: six rows at a time, in order, over and over."""
    return [(row, range(at % 7 * 6, at % 7 * 6 + 6)) for at, row in enumerate(rows)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_loop_gets_what_it_got_without_recording(folder: Path, name: str) -> None:
    """GIVEN the same seeds WHEN bare and wrapped THEN equal batches, of equal types, and equal random states after."""
    truth, _ = told(folder, name)
    assert (truth["is_itself"], truth["as_bare"], truth["same_states"]) == (True, True, True)


@pytest.mark.parametrize("name", SCENARIOS)
def test_who_gives_others_is_said_once(folder: Path, name: str) -> None:
    warnings = told(folder, name)[0]["warnings"]
    expected = (UNKNOWN | IN_PART).get(name)
    assert len(warnings) == (0 if expected is None else 1)
    assert expected is None or all(part in warnings[0] for part in expected)
