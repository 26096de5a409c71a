"""[tool.coverage-audit]: what can be set, as frozen dataclasses; found, read and checked."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage_audit.errors import ConfigError

OWN_FILE = "coverage-audit.toml"


@dataclass(frozen=True, slots=True)
class Gates:
    """What makes a report fail. Integers are compared, never percentages.

    ``fail_on``/``warn_on``: rule codes or names whose findings are raised to errors, or lowered to warnings.
    ``max_missed``: missed row-epochs (rows, under ``per="run"``) that are let through, 0 by default.
    ``max_repeated``: the same for surplus visits; None: repeats fail only an explicit exactly-once contract.
    """

    fail_on: tuple[str, ...] = ()
    warn_on: tuple[str, ...] = ()
    max_missed: int = 0
    max_repeated: int | None = None
    allow_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class RunSettings:
    """[tool.coverage-audit.run]: what `coverage-audit run` takes as options; None and () where nothing is said."""

    data: tuple[str, ...] = ()
    aligned: tuple[str, ...] = ()
    validation_data: tuple[str, ...] = ()
    log: str | None = None
    batch_size: int | None = None
    contract: str | None = None
    per: str | None = None
    identify: str | None = None
    verify_every: int | None = None
    loader: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the configuration file can say. ``rules``: thresholds per rule code."""

    log: str = "run.parquet"
    gates: Gates = field(default_factory=Gates)
    exit_zero: bool = False
    verify_every: int = 64
    """Of how many recorded batches one is held against the files."""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    run: RunSettings = field(default_factory=RunSettings)


def read_config(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """What is configured for ``folder`` (the working directory): the file found, then COVERAGE_AUDIT_LOG.

    Raises :class:`ConfigError`: no-config, bad-toml, unknown-key, bad-setting.
    """
    path = find_config(folder, environ)
    facts = {} if path is None else _table(path)
    return _config(facts or {}, "" if path is None else str(path), environ.get("COVERAGE_AUDIT_LOG"))


def find_config(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """COVERAGE_AUDIT_CONFIG, else the nearest file upwards: coverage-audit.toml, or a pyproject.toml with our table."""
    named = environ.get("COVERAGE_AUDIT_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"COVERAGE_AUDIT_CONFIG={named!r} is no file: correct it, or unset it", slug="no-config")
        return Path(named)
    here = (Path.cwd() if folder is None else folder).absolute()
    for place in (here, *here.parents):
        if (place / OWN_FILE).is_file():
            return place / OWN_FILE
        if (place / "pyproject.toml").is_file() and _table(place / "pyproject.toml") is not None:
            return place / "pyproject.toml"
    return None


def _table(path: Path) -> dict[str, Any] | None:
    """Our part of a file: all of coverage-audit.toml, [tool.coverage-audit] of any other; None if it has none."""
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): check its permissions", slug="no-config"
        ) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise ConfigError(f"{path} is not valid TOML ({error}): correct it there", slug="bad-toml") from error
    tools = facts.get("tool", {})
    ours = tools.get("coverage-audit") if isinstance(tools, dict) else None
    if ours is None:
        return facts if path.name != "pyproject.toml" else None
    if not isinstance(ours, dict):
        raise ConfigError(f"{path}: tool.coverage-audit is {ours!r}: make it a table", slug="bad-setting")
    return ours


def _config(facts: Mapping[str, Any], path: str, log: str | None) -> Config:
    known = _checked(facts, path, _KEYS)
    own = {key: known.pop(key) for key in ("log", "exit_zero", "verify_every", "run", "rules") if key in known}
    if log:
        own["log"] = log
    return Config(gates=Gates(**known), **own)


def _checked(facts: Mapping[str, Any], path: str, keys: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    """The values of a table by the names of their fields, each checked by what ``keys`` has for it."""
    for key in facts:
        if key not in keys:
            raise ConfigError(f"{path}: unknown key {table + key!r}; {_suggestion(key, keys)}", slug="unknown-key")
    return {key.replace("-", "_"): check(path, table + key, facts[key]) for key, check in keys.items() if key in facts}


def _suggestion(key: str, keys: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key.replace("_", "-"), keys, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(keys)}"


def _wrong(path: str, key: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{path}: {key} = {value!r} is {_type(value)}: give {wanted}", slug="bad-setting")


def _type(value: object) -> str:
    names = {bool: "a true/false value", str: "text", int: "a whole number", float: "a fraction", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, dict) else f"a {type(value).__name__}")


def _text(path: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(path, key, value, "a path in quotes")
    return value


def _flag(path: str, key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, key, value, "true or false")
    return value


def _count(path: str, key: str, value: object) -> int:
    return _number(path, key, value, 0, "a whole number, 0 or more")


def _positive(path: str, key: str, value: object) -> int:
    return _number(path, key, value, 1, "a whole number above 0")


def _number(path: str, key: str, value: object, least: int, wanted: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(path, key, value, wanted)
    if value < least:
        raise ConfigError(f"{path}: {key} = {value}: give {wanted}", slug="bad-setting")
    return value


def _texts(path: str, key: str, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item for item in values):
        raise _wrong(path, key, value, "text in quotes, or a list of such")
    return tuple(values)


def _one_of(*known: str) -> Callable[[str, str, object], str]:
    def check(path: str, key: str, value: object) -> str:
        if value not in known:
            close = difflib.get_close_matches(str(value), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"{path}: {key} = {value!r} is unknown; {hint}", slug="bad-setting")
        return str(value)

    return check


def _run(path: str, key: str, value: object) -> RunSettings:
    if not isinstance(value, dict):
        raise _wrong(path, key, value, "a table, [tool.coverage-audit.run]")
    return RunSettings(**_checked(value, path, _RUN_KEYS, f"{key}."))


def _rules(path: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(path, key, value, 'a list of rule codes or names, such as ["CA201"]')
    return tuple(value)


def _thresholds(path: str, key: str, value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise _wrong(path, key, value, "tables such as [tool.coverage-audit.rules.CA202]")
    for code, settings in value.items():
        if re.fullmatch(r"CA\d{3}", code) is None:
            raise ConfigError(f"{path}: rules.{code} is no rule code: write it as in CA202", slug="unknown-key")
        if not isinstance(settings, dict):
            raise _wrong(path, f"rules.{code}", settings, "a table of settings")
    return value


IDENTIFY = ("auto", "provenance", "views", "content", "tracer", "inferred", "off")
KINDS = ("exactly-once", "at-least-once", "padded", "drop-remainder", "with-replacement", "subset")
PERS = ("epoch", "pass", "run")

# Every key, and what reads it.
_RUN_KEYS: dict[str, Any] = {
    "data": _texts,
    "aligned": _texts,
    "validation-data": _texts,
    "log": _text,
    "batch-size": _positive,
    "contract": _one_of(*KINDS),
    "per": _one_of(*PERS),
    "identify": _one_of(*IDENTIFY),
    "verify-every": _positive,
    "loader": _texts,
}
_KEYS: dict[str, Any] = {
    "log": _text,
    "fail-on": _rules,
    "warn-on": _rules,
    "max-missed": _count,
    "max-repeated": _count,
    "allow-incomplete": _flag,
    "exit-zero": _flag,
    "verify-every": _positive,
    "run": _run,
    "rules": _thresholds,
}
