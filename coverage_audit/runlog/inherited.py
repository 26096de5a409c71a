"""What a process tells its children of the logs it records into. Imports nothing heavy: a launcher uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from coverage_audit.errors import UsageError

INHERITED = "COVERAGE_AUDIT_INHERITED"
"""Environment variable by which a process tells its children, per open log: run id, what it was asked as, attempt."""


def inherited() -> dict[str, dict[str, Any]]:
    """By absolute path of the log. Raises :class:`UsageError` (bad-environment) if the variable was tampered with."""
    text = os.environ.get(INHERITED)
    if text is None:
        return {}
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise UsageError(
            f"{INHERITED}={text!r} is private and was changed: unset it", slug="bad-environment"
        ) from error


def tell_children(logs: Mapping[str, Any]) -> None:
    """What :func:`inherited` says from now on, here and in children."""
    if logs:
        os.environ[INHERITED] = json.dumps(logs)
    else:
        os.environ.pop(INHERITED, None)
