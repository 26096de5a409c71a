"""Real loops of torch: each step in the log has the rows it was trained on, or says that they are unknown.

The loops are in torch_run_scenarios.py, which run in a process of their own; here their logs are held against theirs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import names_in, rows_by, run, told

from coverage_audit.runlog.reader import read_log

SCRIPT = Path(__file__).with_name("torch_run_scenarios.py")
SCENARIOS = names_in(SCRIPT)

UNKNOWN_TRAINED = {
    "left_out": 2,  # the batch left out, and the one after it
    "pulled_ahead": 9,
    "pulled_by_a_thread": 10,
    "two_loaders": 10,
    "cycled": 6,
    "all_in_one_step": 9,  # or the batches were only looked at, and the step was on something else
}
UNKNOWN_EVALUATED = {"validated_inside": 1}  # the last of an evaluation that was left


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    run(SCRIPT, folder)
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_log_says_what_was_trained_and_evaluated(folder: Path, name: str) -> None:
    """
    GIVEN a real loop over DataLoaders, patched and not wrapped
    WHEN its log is read
    THEN every step has its rows, in order; only where two readings are left are rows unknown, and none is wrong
    """
    truth = told(folder, name)
    assert (truth["failures"], truth["notes"]) == ([], [])
    log = read_log(folder / f"{name}.parquet")
    (end,) = log.run.writers
    assert (end.state, end.failures) == ("closed", ())
    for split, seen, unknown in (
        ("train", truth["trained"], UNKNOWN_TRAINED.get(name, 0)),
        ("validation", truth["evaluated"], UNKNOWN_EVALUATED.get(name, 0)),
    ):
        steps = [rows for _, rows in rows_by(log, split, stepped=True)]
        known = [rows for rows in steps if rows and rows[0] >= 0]
        assert len(steps) - len(known) == unknown
        if unknown:
            later = iter(seen)
            assert all(rows in later for rows in known)
        else:
            assert known == seen


@pytest.mark.parametrize(
    ("name", "dropped"),
    [("plain", 0), ("left_early", 3), ("persistent", 1), ("accumulated", 0), ("peeked", 0), ("accelerated", 1)],
)
def test_what_was_pulled_and_not_trained(folder: Path, name: str, dropped: int) -> None:
    """GIVEN loops that are left with a batch in hand THEN it is on record as yielded, and as nothing more."""
    log = read_log(folder / f"{name}.parquet")
    assert len(rows_by(log, "train", stepped=False)) == dropped


def test_passes_are_told_by_loaders_of_all_rows_only(folder: Path) -> None:
    """GIVEN 40 rows WHEN loaders of 40 and of 36 rows are iterated THEN the first ones tell their passes."""
    passes = {}
    for name in ("plain", "persistent", "accumulated"):
        log = read_log(folder / f"{name}.parquet")
        (end,) = log.run.writers
        passes[name] = [s.pass_ for s in log.segments(end.writer) if s.split == "train"]
    assert passes == {"plain": [0, 1], "persistent": [0, 1, 2], "accumulated": [-1, -1]}
