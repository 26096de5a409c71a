"""The rule unit. A rule is a value in a file of its own, `caNNN_its_name.py`; adding a rule is adding a file.

Order in the file: docstring (the page `coverage-audit explain` shows: a first line that says what is wrong, then the
headings What it looks for, Why it matters, How to fix it, When it is fine), ``check``, ``RULE``.

``check`` is pure and decides from counts, positions, writers, attempts and passes, never from a framework's name. It
does not know its code or severity; :mod:`coverage_audit.auditor` signs.

A *symptom* says what is wrong, a *diagnosis* why. The claims of a diagnosis are the row-epochs it explains, and
diagnoses claim in ascending ``rank``, so the more specific has the lower number. The claims of a symptom are the
row-epochs it is about. *Evidence* rules judge the record itself.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from coverage_audit.counts.remarks import NO_REMARKS, Remarks
from coverage_audit.counts.shares import SharedRows
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.errors import ConfigError, UsageError
from coverage_audit.model.contract import Contract
from coverage_audit.model.finding import Evidence, Severity

Role = Literal["symptom", "diagnosis", "evidence"]
HEADINGS = ("What it looks for", "Why it matters", "How to fix it", "When it is fine")


@dataclass(frozen=True, slots=True)
class Lost:
    """A batch that was yielded and never trained."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """A batch consumed again without being yielded again, by its number."""

    batch: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A batch whose rows could not be told."""

    rows: int


@dataclass(frozen=True, slots=True)
class By:
    """A batch of one rank and, where it is not -1, of one of its loader workers."""

    ids: tuple[int, ...]
    rank: int = 0
    worker: int = -1


@dataclass(frozen=True, slots=True)
class Resumed:
    """What follows was done by the next attempt, from a checkpoint here. ``cut``: its epoch was not over, which is so
    wherever this is not the epoch's last."""

    cut: bool = True


ExampleBatch = tuple[int, ...] | Lost | Again | Unknown | By | Resumed


@dataclass(frozen=True, slots=True)
class Example:
    """A run small enough to read: epochs of batches of sample ids over shards of these sizes.

    ``reported``: the ids a firing rule names. ``dataset=False``: no denominator. ``writer``: how the record ends.
    ``other_data``: a second fingerprint was recorded. ``remarks``: what the recorder noticed. ``world_size``: ranks
    that were expected, by default those that have batches. ``shared``: rows that other splits visited too. The rest is
    what the loader or trainer declared or told.
    """

    shards: tuple[int, ...]
    epochs: tuple[tuple[ExampleBatch, ...], ...]
    reported: tuple[int, ...] = ()
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    contract: Contract = field(default_factory=Contract)
    trained: bool = True
    exhausted: bool = False
    evaluation: bool = False
    dataset: bool = True
    writer: str = "closed"
    other_data: bool = False
    remarks: Remarks = NO_REMARKS
    world_size: int | None = None
    shared: tuple[SharedRows, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``since`` is the version that brought it; ``limits`` a frozen dataclass of thresholds, or None."""

    code: str
    name: str
    severity: Severity
    role: Role
    since: str
    check: Callable[..., Iterator[Evidence]]
    quiet: tuple[Example, ...]
    fires: tuple[Example, ...]
    rank: int = 50
    limits: Any = None

    @property
    def doc(self) -> str:
        """The rule's page: its module's docstring."""
        return (sys.modules[self.check.__module__].__doc__ or "").strip()

    @property
    def summary(self) -> str:
        return self.doc.splitlines()[0]

    def evidence(self, counts: SplitCounts) -> list[Evidence]:
        """What this rule sees in one split."""
        found = self.check(counts) if self.limits is None else self.check(counts, self.limits)
        return list(found)

    def with_limits(self, values: Mapping[str, Any]) -> Rule:
        """The rule with thresholds from the configuration. Raises ConfigError for one it does not have."""
        known = [] if self.limits is None else [f.name for f in dataclasses.fields(self.limits)]
        changes = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                has = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'no thresholds'}"
                raise ConfigError(f"rules.{self.code} has no threshold {key!r}; {has}", slug="unknown-threshold")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"rules.{self.code}.{key} = {value!r}: give a number", slug="bad-config-value")
            changes[name] = value
        return dataclasses.replace(self, limits=dataclasses.replace(self.limits, **changes)) if changes else self


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule of this folder by code. Raises ValueError if two have one code."""
    import coverage_audit.rules as home

    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(home.__path__):
        if not module.name.startswith("ca"):
            continue
        rule: Rule = importlib.import_module(f"{home.__name__}.{module.name}").RULE
        if rule.code in found:
            raise ValueError(f"two rules have the code {rule.code}")
        found[rule.code] = rule
    return tuple(found[code] for code in sorted(found))


def find_rule(code_or_name: str) -> Rule:
    """The rule of that code (any case) or name. Raises UsageError with the closest ones."""
    wanted = code_or_name.strip().lower()
    for rule in all_rules():
        if wanted in (rule.code.lower(), rule.name):
            return rule
    known = [n for r in all_rules() for n in (r.code.lower(), r.name)]
    close = difflib.get_close_matches(wanted, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "`coverage-audit explain` lists them all"
    raise UsageError(f"there is no rule {code_or_name!r}; {hint}", slug="unknown-rule")
