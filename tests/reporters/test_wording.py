"""Numbers as people read them: nothing is rounded away."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.reporters import wording


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 1, "0"),
        (1, 1, "100"),
        (0, 0, "nan"),
        (1, 10**12, "0.01"),
        (10**12 - 1, 10**12, "99.99"),
        (9384, 9570, "98.05"),
        (1, 3, "33.33"),
        (9999, 10000, "99.99"),
        (3, 2, "150.00"),
    ],
)
def test_a_percentage_never_lies(part: int, whole: int, text: str) -> None:
    assert wording.percent_digits(part, whole) == text


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.integers(0, 4))
def test_0_and_100_only_when_exactly_that(part: int, whole: int, digits: int) -> None:
    part = min(part, whole)
    text = wording.percent_digits(part, whole, digits)
    assert (text == "0") == (part == 0)
    assert (text == "100") == (part == whole)
    assert abs(Fraction(text) - Fraction(100 * part, whole)) <= Fraction(1, 10**digits)


def test_nothing_measured_is_no_number() -> None:
    assert wording.percent(0, 0) == "nothing measured"
    assert math.isnan(float(wording.percent_digits(0, 0)))


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (("x_3.npy", 192, 250), "x_3.npy 192–249"),
        (("x_3.npy", 0, 1), "x_3.npy 0"),
        (("x_3.npy", 0, 2), "x_3.npy 0–1"),
        (("a\x1b[31m\nb.npy", 5, 6), "a\\x1b[31m\\nb.npy 5"),
    ],
)
def test_ranges_are_closed_for_people(item: tuple[str, int, int], text: str) -> None:
    assert wording.piece(item) == text


def test_ranges_that_are_not_shown_are_counted() -> None:
    items = [("a", 0, 1), ("a", 2, 4), ("b", 0, 1), ("b", 7, 9)]
    assert wording.pieces(items, 4) == "a 0, a 2–3, b 0, b 7–8"
    assert wording.pieces(items, 2) == "a 0, a 2–3 and 2 more ranges"
    assert wording.pieces(items, 3) == "a 0, a 2–3, b 0 and 1 more range"
    assert wording.pieces(items, 2, truncated=True) == "a 0, a 2–3 and more than 2 other ranges"


def test_ordinals_as_runs() -> None:
    assert wording.numbers([0]) == "0"
    assert wording.numbers([0, 1, 2, 5, 7, 8]) == "0–2, 5, 7–8"
    assert wording.numbers([0, 2, 4, 6, 8, 10, 12, 13], limit=3) == "0, 2, 4 and 5 more"


def test_counts_and_times() -> None:
    assert [wording.number(n) for n in (None, 0, 3190, 10**9)] == ["–", "0", "3,190", "1,000,000,000"]
    assert [wording.times(*t) for t in ((1, 1), (3, 3), (0, 2))] == ["exactly once", "exactly 3 times", "0 to 2 times"]
