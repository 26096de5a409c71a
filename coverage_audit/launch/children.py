"""Children that multiprocessing starts afresh (spawn, forkserver) record too; forked ones do so by themselves.

Both are command lines of Python, `-c "from multiprocessing.spawn import spawn_main; …"`, put together in
multiprocessing and started by ``multiprocessing.util.spawnv_passfds``. There our own beginning is put in front.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from coverage_audit.launch.options import Options
from coverage_audit.launch.session import Session, words

STARTS = ("from multiprocessing.spawn import spawn_main", "from multiprocessing.forkserver import main")
FIRST = """\
try:
    from coverage_audit.launch.children import begin
except ImportError as error:
    import sys
    sys.stderr.write(f"coverage-audit: a child process is not recorded: {error}\\n")
    del sys, error
else:
    begin()
    del begin
"""


def follow_children(util: ModuleType, session: Session) -> None:
    """Let what ``multiprocessing.util`` starts begin with :func:`begin`."""
    original: Callable[..., Any] | None = getattr(util, "spawnv_passfds", None)
    if original is None:
        session.note("this version of Python starts child processes in another way; spawned ones are not recorded")
        return
    if getattr(original, "is_audits", False):
        return

    def spawnv_passfds(path: Any, args: Sequence[Any], passfds: Any) -> Any:
        return original(path, with_our_beginning(args), passfds)

    spawnv_passfds.is_audits = True  # type: ignore[attr-defined]
    util.spawnv_passfds = spawnv_passfds  # type: ignore[attr-defined]


def with_our_beginning(args: Sequence[Any]) -> list[Any]:
    """The same command line, our beginning before the code of ``-c`` if that is a child's of multiprocessing."""
    changed = list(args)
    for at, word in enumerate(changed[:-1]):
        if word == "-c":
            if isinstance(changed[at + 1], str) and changed[at + 1].startswith(STARTS):
                changed[at + 1] = FIRST + changed[at + 1]
            break
    return changed


def begin() -> None:
    """In a child, before anything of the script's: record as the parent was asked to. Does not raise."""
    try:
        options = Options.from_environment()
        if options is None:
            return
        from coverage_audit.launch.watch import watch

        session = Session(options)
        watch(session)
        if options.loaders:
            _name_in_main(session)
    except Exception as error:  # noqa: BLE001 - the child has work to do
        sys.stderr.write(f"coverage-audit: a child process is not recorded: {words(error)}\n")


def _name_in_main(session: Session) -> None:
    """A child runs the parent's script once more, by ``runpy.run_path``, as ``__mp_main__``."""
    from coverage_audit.launch.named import Named
    from coverage_audit.launch.script import source_of

    original = runpy.run_path
    named = Named(session)

    def run_path(path_name: str, init_globals: Any = None, run_name: str | None = None) -> dict[str, Any]:
        source = source_of(path_name) if run_name == "__mp_main__" else None
        if source is None:
            return original(path_name, init_globals, run_name)
        module = ModuleType("__mp_main__")
        module.__dict__.update(__file__=path_name, __cached__=None, __spec__=None, __package__="")
        sys.modules["__mp_main__"] = module
        exec(named.compile(*source), module.__dict__)
        return module.__dict__

    runpy.run_path = run_path
