"""Everything from the options to the end of the script."""

from __future__ import annotations

import atexit
import os

from coverage_audit.errors import UsageError
from coverage_audit.launch.announce import announce_run
from coverage_audit.launch.ending import end
from coverage_audit.launch.inspection import inspect_data
from coverage_audit.launch.named import Named, require_defined
from coverage_audit.launch.options import ENVIRONMENT, Options
from coverage_audit.launch.script import Program, compile_plainly, source_of
from coverage_audit.launch.session import Session
from coverage_audit.launch.watch import watch
from coverage_audit.recorder.place import find_place


class Launch:
    """A program that is about to run, recorded as ``options`` say.

    Raises :class:`UsageError` if it cannot be meant: no such script (no-script), a loader it does not define
    (no-loader), several ranks without a shared run id (no-shared-run-id), data as of :func:`inspect_data`.
    """

    def __init__(self, program: Program, options: Options) -> None:
        self._program = program
        self._options = options
        self._disabled = os.environ.get("COVERAGE_AUDIT_DISABLE", "") not in ("", "0")
        if not program.is_there():
            raise UsageError(
                f"there is no script {program.name!r} in {os.getcwd()}: give its path, or -m and the name of a module",
                slug="no-script",
            )
        if self._disabled:
            return
        inspect_data(options)
        names = tuple(name for name in options.loaders if ":" not in name)
        source = source_of(program.name) if names and not program.is_module else None
        if source is not None:
            require_defined(*source, names)
        place = find_place(os.environ)
        run_id = os.environ.get("COVERAGE_AUDIT_RUN_ID") or place.launcher_id
        if run_id is None and place.world_size > 1:
            raise UsageError(
                f"rank {place.rank} of {place.world_size} has no run id to share with the others: set the environment "
                "variable COVERAGE_AUDIT_RUN_ID to the same value on all ranks",
                slug="no-shared-run-id",
            )
        self._run_id = announce_run(options.log, run_id, place.rank, place.restart)

    def __call__(self) -> None:
        """Run it. Raises what it raises."""
        if self._disabled:
            self._program.run(compile_plainly)
            return
        os.environ[ENVIRONMENT] = self._options.to_json()
        session = Session(self._options)
        # First in, last out: after the exit handlers of the script.
        atexit.register(end, session, self._run_id)
        watch(session)
        self._program.run(Named(session).compile)
