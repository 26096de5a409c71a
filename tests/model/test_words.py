"""Numbers in sentences."""

from __future__ import annotations

from coverage_audit.model.words import epochs_text, listed, number, several


def test_number() -> None:
    assert [number(n) for n in (0, 999, 1000, 1234567, -1000)] == ["0", "999", "1,000", "1,234,567", "-1,000"]


def test_several() -> None:
    assert [several(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert [several(2, noun) for noun in ("batch", "pass", "box", "row-epoch")] == [
        "2 batches", "2 passes", "2 boxes", "2 row-epochs",
    ]  # fmt: skip
    assert (several(1, "entry", "entries"), several(3, "entry", "entries")) == ("1 entry", "3 entries")


def test_listed() -> None:
    assert [listed("abcdefg"[:n]) for n in (0, 1, 2, 3, 4, 5, 7)] == [
        "", "a", "a and b", "a, b and c", "a, b, c and d", "a, b, c, d and 1 more", "a, b, c, d and 3 more",
    ]  # fmt: skip
    assert listed([0, 1, 2], limit=2) == "0, 1 and 1 more"


def test_epochs() -> None:
    assert epochs_text((0,), 1) == "epoch 0"
    assert epochs_text((0,), 3) == "epoch 0"
    assert epochs_text((0, 2), 3) == "epochs 0 and 2"
    assert epochs_text((0, 1, 2), 3) == "all 3 epochs"
    assert epochs_text(range(40), 50) == "40 of 50 epochs"
