"""The benchmarks run and say what they measured. Never how fast: a test that reads a clock fails on a busy day."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from benchmarks import counting, identifying, recording, startup, storage
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.effort import TINY, Effort
from benchmarks.section import Section, Target, render
from benchmarks.storage import entropy_inside_shards, order_entropy

NUMBER = re.compile(r"[-+]?[\d.,]+( / [-+]?[\d.,]+)?( - [\d.,]+)?|–")


@pytest.mark.parametrize(
    ("measure", "first_cells"),
    [
        (
            recording.measure,
            ["ids, shuffled, B=32", "ids, contiguous, B=32", "slices of x, B=32", "slices of x and y, B=32"],
        ),
        (identifying.measure, [case.name for case in identifying.CASES]),
        (storage.measure, [case.name for case in storage.CASES]),
        (
            counting.measure,
            [
                "plain decoding",
                "counting",
                "audit()",
                "audit(), killed run",
                "counting, 16 ranks",
                "counting, one restart",
                "counting, slices",
                "pandas groupby (shard, row)",
                "pandas groupby, one key",
                "DuckDB",
                "Polars",
            ],
        ),
    ],
)
def test_each_has_a_number_in_every_cell(measure: Callable[[Effort], Section], first_cells: list[str]) -> None:
    # WHEN a benchmark runs as small as it can
    section = measure(TINY)

    # THEN its table has a line per case, THEN every cell is a number
    assert [row[0] for row in section.rows] == first_cells
    assert {len(row) for row in section.rows} == {len(section.columns)}
    assert [cell for row in section.rows for cell in row[1:] if not NUMBER.fullmatch(cell)] == []


def test_starting_is_measured_for_each_process() -> None:
    assert "coverage-audit report, 6,000 visits" in [row[0] for row in startup.measure(TINY).rows]


def test_the_aims_are_said_not_asserted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a benchmark that misses one of its aims
    section = Section("A thing: ms", ("way", "ms"), (("ours", "3"),), (Target("≤ 2", "3", False),), "A note.")
    monkeypatch.setitem(BENCHMARKS, "recording", lambda effort: section)

    # WHEN it is run by name
    status = main(["recording"])

    # THEN the machine, the table and the missed aim are printed, and the status is that of success
    out = capsys.readouterr().out
    assert status == 0
    assert re.search(r"Python [\d.]+, coverage-audit [\d.]+, numpy", out)
    assert "NOT MET  ≤ 2: 3" in out
    assert render(section) in out


def test_an_unknown_name_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    told = capsys.readouterr().err
    assert "'speed' is no benchmark: choose from recording, identifying, storage, counting, startup" in told


def test_the_limit_is_the_entropy_of_the_order() -> None:
    # GIVEN 4 rows, which have 24 orders; GIVEN two whole shards and a half: their order, and that inside each
    assert order_entropy(4) == pytest.approx(4.584962500721156 / 8)
    assert entropy_inside_shards(25_000) == pytest.approx(
        order_entropy(3) + 2 * order_entropy(10_000) + order_entropy(5_000)
    )
