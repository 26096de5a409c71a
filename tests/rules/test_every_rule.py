"""About the registry: what holds for every rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import coverage_audit.rules
from coverage_audit.errors import ConfigError, UsageError
from coverage_audit.model.finding import Evidence
from coverage_audit.rules._rule import HEADINGS, Rule, all_rules, find_rule
from coverage_audit.testing.runs import run_of

RULES = all_rules()
# Codes that once meant something keep it for ever; a retired one stays here so that none is used again.
EVER_USED = [
    "CA101", "CA102", "CA103", "CA104", "CA105", "CA106", "CA107", "CA201", "CA202", "CA203", "CA204",
    "CA205", "CA206", "CA301", "CA302", "CA303", "CA304", "CA305",
    "CA401", "CA402", "CA403", "CA404", "CA405", "CA406", "CA407",
    "CA501", "CA502", "CA503", "CA504", "CA505",
    "CA601", "CA602", "CA603", "CA604", "CA605", "CA606", "CA607", "CA608", "CA609",
    "CA701", "CA702",
    "CA901", "CA902", "CA903", "CA904", "CA905", "CA906", "CA907",
]  # fmt: skip


def evidence(rule: Rule, example: object) -> list[Evidence]:
    return rule.evidence(run_of(example).count())  # type: ignore[arg-type]


def test_codes() -> None:
    assert [r.code for r in RULES] == EVER_USED
    assert len({r.name for r in RULES}) == len(RULES)


def test_files_are_named_after_their_rule() -> None:
    folder = Path(coverage_audit.rules.__path__[0])
    files = sorted(p.stem for p in folder.glob("ca*.py"))
    assert files == [f"{r.code.lower()}_{r.name.replace('-', '_')}" for r in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_page_has_its_headings_in_order(rule: Rule) -> None:
    assert tuple(re.findall(r"^## (.+)$", rule.doc, re.MULTILINE)) == HEADINGS
    assert rule.summary.endswith(".")
    sections = re.split(r"^## .+$", rule.doc, flags=re.MULTILINE)[1:]
    assert all(len(s.strip()) > 15 for s in sections)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_name_reads_well_after_allow(rule: Rule) -> None:
    """A name is a thing one can allow: words of a noun phrase, lower case, no verb."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert not rule.name.startswith(("no-", "is-", "has-", "must-"))


@pytest.mark.parametrize(
    ("rule", "example"), [(r, e) for r in RULES for e in r.quiet], ids=lambda v: getattr(v, "code", "")
)
def test_quiet_examples_are_quiet(rule: Rule, example: object) -> None:
    assert evidence(rule, example) == []


@pytest.mark.parametrize(
    ("rule", "example"), [(r, e) for r in RULES for e in r.fires], ids=lambda v: getattr(v, "code", "")
)
def test_firing_examples_fire_exactly(rule: Rule, example: object) -> None:
    found = evidence(rule, example)
    assert len(found) == 1
    assert tuple(found[0].rows.ids().tolist()) == example.reported  # type: ignore[attr-defined]
    assert found[0].message
    assert not found[0].message.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_every_rule_is_shown_both_ways(rule: Rule) -> None:
    assert rule.quiet
    assert rule.fires


def test_diagnoses_claim_only_what_is_missed_or_repeated() -> None:
    """In every example of every rule, claims lie inside what the epoch misses or repeats."""
    for example in (e for r in RULES for e in (*r.quiet, *r.fires)):
        counts = run_of(example).count()
        epochs = {e.epoch: e for e in counts.epochs}
        for rule in RULES:
            for found in rule.evidence(counts):
                for claim in found.claims:
                    assert not claim.missed - epochs[claim.epoch].missed
                    assert not claim.repeated - epochs[claim.epoch].repeated.rows


def test_find_by_code_and_name() -> None:
    assert find_rule("ca601") is find_rule("short-epoch")
    with pytest.raises(UsageError, match=r"there is no rule 'CA6O1'; did you mean"):
        find_rule("CA6O1")


def test_thresholds() -> None:
    rule = find_rule("CA202")
    assert rule.with_limits({"max-spread": 5}).limits.max_spread == 5
    with pytest.raises(ConfigError, match="did you mean 'max_spread'"):
        rule.with_limits({"max-spred": 5})
    with pytest.raises(ConfigError, match="give a number"):
        rule.with_limits({"max-spread": "five"})
    with pytest.raises(ConfigError, match="it has no thresholds"):
        find_rule("CA101").with_limits({"x": 1})
