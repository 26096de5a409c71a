"""coverage-audit explain: the page of a rule, or of an error."""

from __future__ import annotations

import difflib
import textwrap

import click

from coverage_audit.cli.slugs import SLUGS
from coverage_audit.errors import UsageError
from coverage_audit.rules._rule import all_rules


@click.command()
@click.argument("what", required=False, metavar="[CODE|NAME|SLUG]")
def explain(what: str | None) -> None:
    """Explain a rule or an error: what is looked for, why it matters, how to fix it, when it is fine.

    Without an argument: all rules. Errors end with their slug in brackets.

    \b
    coverage-audit explain
    coverage-audit explain CA601
    coverage-audit explain short-epoch
    coverage-audit explain mixed-files

    \b
    Exit status: 0 explained · 1 there is no such rule or error
    """
    click.echo(_catalogue() if what is None else _page(what.strip().strip("[]")))


def _page(what: str) -> str:
    wanted = what.lower()
    for rule in all_rules():
        if wanted in (rule.code.lower(), rule.name):
            heading = f"{rule.code} {rule.name}"
            facts = f"{rule.severity.value} · {rule.role} · since {rule.since}"
            return f"{heading}\n{'=' * len(heading)}\n{facts}\n\n{rule.doc}"
    if wanted in SLUGS:
        return f"{wanted}\n{'=' * len(wanted)}\n" + textwrap.fill(SLUGS[wanted], 100)
    known = [name for rule in all_rules() for name in (rule.code.lower(), rule.name)] + list(SLUGS)
    close = difflib.get_close_matches(wanted, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "`coverage-audit explain` lists all rules"
    raise UsageError(f"there is no rule or error {what!r}; {hint}", slug="unknown-rule")


def _catalogue() -> str:
    wide = max(len(rule.name) for rule in all_rules())
    return "\n".join(
        f"{rule.code}  {rule.name:<{wide}}  {rule.severity.value}\n       {rule.summary}" for rule in all_rules()
    )
