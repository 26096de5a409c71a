"""coverage-audit explain: every rule and every error has a page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import coverage_audit
from coverage_audit.cli.main import main
from coverage_audit.cli.slugs import SLUGS
from coverage_audit.rules._rule import Rule, all_rules


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["explain", *args])


def slugs_raised() -> Iterator[str]:
    """Every ``slug="..."`` in the source of the package; those made from the name of an argument are listed."""
    yield from ("bad-batch-size", "bad-steps-per-epoch", "bad-epochs")
    for file in Path(coverage_audit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "slug" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_every_error_is_explained_and_nothing_else() -> None:
    assert sorted(set(slugs_raised())) == sorted(SLUGS)


def test_slugs_and_rule_names_differ() -> None:
    assert not {rule.name for rule in all_rules()} & set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_page_of_an_error(slug: str) -> None:
    result = run(f"[{slug}]")  # as it stands at the end of a message

    assert result.exit_code == 0
    heading, line, *text = result.output.splitlines()
    assert (heading, line) == (slug, "=" * len(slug))
    assert " ".join(text).strip() == SLUGS[slug]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: str(rule.code))
def test_the_page_of_a_rule(rule: Rule) -> None:
    by_code = run(rule.code.lower())

    assert by_code.exit_code == 0
    assert by_code.output == run(rule.name).output
    assert by_code.output.splitlines()[0] == f"{rule.code} {rule.name}"
    assert by_code.output.endswith(rule.doc + "\n")


def test_without_an_argument_all_rules() -> None:
    result = run()

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split() for line in lines[::2]] == [[r.code, r.name, r.severity.value] for r in all_rules()]
    assert [line.strip() for line in lines[1::2]] == [r.summary for r in all_rules()]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("short-epochs", "there is no rule or error 'short-epochs'; did you mean short-epoch"),
        ("mixed-file", "there is no rule or error 'mixed-file'; did you mean mixed-files"),
        ("?", "there is no rule or error '?'; `coverage-audit explain` lists all rules [unknown-rule]"),
    ],
)
def test_unknown(what: str, message: str) -> None:
    result = run(what)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"coverage-audit: error: {message}")
