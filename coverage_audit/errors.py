"""Every exception and warning of the package.

::

    CoverageAuditError            base; carries a slug that `coverage-audit explain SLUG` knows
    ├── UsageError                the call or command is wrong: a value, and the remedy
    ├── ConfigError               [tool.coverage-audit] says something we do not know
    ├── DatasetError              the data cannot be opened, or is not what was said
    └── LogError                  the run log cannot be read, joined or archived
    CoverageAuditWarning          base of the warnings
    └── RecordingWarning          recording goes on degraded, or stopped; training goes on

A message is the value, then the remedy; the slug is added in brackets.
"""

from __future__ import annotations


class CoverageAuditError(Exception):
    """Base of all errors raised on purpose.

    ``slug`` names the kind of error for ``coverage-audit explain``.
    """

    def __init__(self, message: str, *, slug: str) -> None:
        super().__init__(message)
        self.message = message
        self.slug = slug

    def __str__(self) -> str:
        return f"{self.message} [{self.slug}]"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.slug))


def _rebuild(kind: type[CoverageAuditError], message: str, slug: str) -> CoverageAuditError:
    return kind(message, slug=slug)


class UsageError(CoverageAuditError, ValueError):
    """An argument has a value that cannot be meant."""


class ConfigError(CoverageAuditError, ValueError):
    """The configuration holds an unknown key or an impossible value."""


class DatasetError(CoverageAuditError, ValueError):
    """The dataset cannot be opened or contradicts itself."""


class LogError(CoverageAuditError, OSError):
    """The run log is absent, unreadable, of another version, or in use."""


class CoverageAuditWarning(UserWarning):
    """Base of all warnings."""


class RecordingWarning(CoverageAuditWarning):
    """Recording goes on with less than was asked for; training is not touched."""
