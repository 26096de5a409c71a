"""What `coverage-audit run` was asked for, and how child processes come to know it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from coverage_audit.errors import UsageError

ENVIRONMENT = "COVERAGE_AUDIT_RUN"
"""Environment variable by which children that multiprocessing starts learn the options. Private."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to record of a script, and how.

    ``folder``: where the command was started. ``log``: absolute. ``command``: the program as it was named, for what is
    said at the end; ``module``: its name where it is run as one (``-m``). ``data``, ``aligned``, ``validation_data``:
    paths, globs or URLs; those on this machine are absolute, as the script may change its directory. ``loaders``:
    functions and classes whose batches are to be recorded, ``name`` or ``module:name``. ``verify_every``: one batch in
    so many is compared with the bytes of the files, None for the recorder's own number. ``given``: the options of the
    command line as they were typed, for what is said at the end.
    """

    folder: str
    log: str
    command: str
    module: str | None = None
    data: tuple[str, ...] = ()
    aligned: tuple[str, ...] = ()
    validation_data: tuple[str, ...] = ()
    batch_size: int | None = None
    contract: str | None = None
    per: str | None = None
    identify: str = "auto"
    verify_every: int | None = None
    loaders: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Options | None:
        """What the parent process was asked for; None where nobody launched it.

        Raises :class:`UsageError` (bad-environment) if the variable was tampered with.
        """
        text = environ.get(ENVIRONMENT)
        if not text:
            return None
        try:
            facts: dict[str, Any] = json.loads(text)
            known = {f.name: facts[f.name] for f in fields(cls)}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{ENVIRONMENT}={text!r} is private and was changed: unset it", slug="bad-environment"
            ) from error
        facts = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**facts)

    @property
    def shown_log(self) -> str:
        """The log as seen from where the command was started, if it lies below."""
        inside = self.log.startswith(os.path.join(self.folder, ""))
        return os.path.relpath(self.log, self.folder) if inside else self.log
