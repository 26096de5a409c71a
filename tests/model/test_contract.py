"""What can be said as a contract, and what cannot."""

from __future__ import annotations

from typing import Any

import pytest

from coverage_audit.errors import UsageError
from coverage_audit.model.contract import KINDS, PERS, Contract


def test_the_default_is_exactly_once_per_epoch_and_promised_by_nobody() -> None:
    assert Contract.of(None) == Contract("exactly-once", "epoch", explicit=False)


@pytest.mark.parametrize(
    ("value", "contract"),
    [
        ("padded", Contract("padded", "epoch", explicit=True)),
        ({"kind": "subset", "per": "run"}, Contract("subset", "run", explicit=True)),
        ({"per": "pass"}, Contract("exactly-once", "pass", explicit=False)),
        ({}, Contract("exactly-once", "epoch", explicit=False)),
        (Contract("exactly-once"), Contract("exactly-once", "epoch", explicit=True)),
    ],
)
def test_ways_to_say_it(value: Any, contract: Contract) -> None:
    """Only a kind that somebody wrote down is explicit: exactly-once by hand fails on repeats."""
    assert Contract.of(value) == contract


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("exactly_once", "contract kind 'exactly_once' is unknown; did you mean 'exactly-once'? [bad-contract]"),
        (
            {"kind": "padded", "per": "day"},
            "contract per 'day' is unknown; known: epoch, pass, run [bad-contract]",
        ),
        ({"kinds": "padded"}, "contract key 'kinds' is unknown; did you mean 'kind'? [bad-contract]"),
        (
            3,
            "contract=3 is no contract: give a kind such as 'exactly-once', a mapping with kind and per, or a Contract "
            "[bad-contract]",
        ),
    ],
)
def test_ways_that_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Contract.of(value)
    assert str(raised.value) == message


def test_what_each_kind_tolerates() -> None:
    tolerated = {kind: (Contract.of(kind).tolerates_missed, Contract.of(kind).tolerates_repeats) for kind in KINDS}
    assert tolerated == {
        "exactly-once": (False, False),
        "at-least-once": (False, True),
        "padded": (False, False),
        "drop-remainder": (False, False),
        "with-replacement": (True, True),
        "subset": (True, False),
    }


def test_units() -> None:
    assert PERS == ("epoch", "pass", "run")
    assert Contract.of({"kind": "padded", "per": "pass"}).to_json() == {"kind": "padded", "per": "pass"}
