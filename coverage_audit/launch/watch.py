"""What happens when the script imports numpy, a storage library, a framework or multiprocessing: the lazy hooks."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from types import ModuleType

from coverage_audit.launch.children import follow_children
from coverage_audit.launch.imports import Action, AfterImport, Rewrite
from coverage_audit.launch.named import Named
from coverage_audit.launch.session import Session, words


def watch(session: Session) -> AfterImport:
    """Install the finder that acts after imports."""
    named = Named(session)
    actions: dict[str, Action] = {
        "numpy": _guarded(session, lambda _: _read_files(session)),
        "h5py": _guarded(session, _read_stores),
        "zarr": _guarded(session, _read_stores),
        "keras": _guarded(session, lambda _: _follow_keras(session)),
        "torch": _guarded(session, lambda _: _follow_torch(session)),
        "multiprocessing.util": _guarded(session, lambda module: follow_children(module, session)),
    }
    for name in named.modules:
        actions[name] = _both(actions.get(name), _guarded(session, named.replace_in))
    rewrites: dict[str, Rewrite] = {}
    if named.in_script:
        module = session.options.module
        for name in ("__main__",) if module is None else (module, f"{module}.__main__"):
            rewrites[name] = named.code_of_module
    finder = AfterImport(actions, rewrites)
    finder.install()
    return finder


def _installed() -> tuple[str, ...]:
    """Where an installation of Python keeps its own: what is read from there is nobody's data."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if sys.prefix != sys.base_prefix:  # a virtual environment has nothing of the user's
        places.add(sys.prefix)
    places.update(entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages"))
    return tuple(os.path.realpath(place) + os.sep for place in sorted(places))


def _read_files(session: Session) -> None:
    session.take_over()
    from coverage_audit.identity.origins import ORIGINS
    from coverage_audit.recorder import reading

    for path, member in session.files():
        reading.watch_file(path, member)
    if not session.options.data:
        installed = _installed()
        ORIGINS.watch_where(lambda path: not path.startswith(installed))
    reading.install()


def _read_stores(module: ModuleType) -> None:
    from coverage_audit.recorder import reading

    reading.install_for(module.__name__)


def _follow_keras(session: Session) -> None:
    from coverage_audit.adapters import keras_run

    keras_run.install(session)


def _follow_torch(session: Session) -> None:
    from coverage_audit.adapters import torch_run

    torch_run.install(session)


def _guarded(session: Session, act: Action) -> Action:
    """The script imports what it imports, whatever goes wrong in a hook."""

    def guarded(module: ModuleType) -> None:
        try:
            act(module)
        except Exception as error:  # noqa: BLE001 - an import must not fail because of us
            session.note(f"less than was asked for is recorded, after the import of {module.__name__}: {words(error)}")

    return guarded


def _both(first: Callable[[ModuleType], None] | None, second: Action) -> Action:
    if first is None:
        return second

    def both(module: ModuleType) -> None:
        first(module)
        second(module)

    return both
