"""Acts right after a module is first imported, without being seen.

The finders that would have found the module find it; its loader stays the loader it is and only for this one call has
an ``exec_module`` (PEP 451) of ours on the instance, which acts when the module's own code has run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

Action = Callable[[ModuleType], None]
Rewrite = Callable[[Any, str], CodeType | None]
"""From a loader and the name of a module to the code to run instead of its own; None: its own."""

_HIDDEN = "<frozen importlib._bootstrap>"
"""Frames of this file name are left out of the tracebacks of failing imports, as those of importlib itself are."""


class AfterImport:
    """A finder for ``sys.meta_path``.

    ``actions``: by module name; they must not raise. What is imported already is acted on at once. ``rewrites``: by
    module name, for modules that run as a program (``-m``), whose code is asked for and not executed by the loader.
    """

    def __init__(self, actions: Mapping[str, Action], rewrites: Mapping[str, Rewrite] | None = None) -> None:
        self._actions = dict(actions)
        self._rewrites = dict(rewrites or {})

    def install(self) -> None:
        """Go first among the finders; act for the modules that are there already."""
        sys.meta_path.insert(0, self)
        for name, action in self._actions.items():
            module = sys.modules.get(name)
            if isinstance(module, ModuleType):
                action(module)

    def uninstall(self) -> None:
        """Find nothing any more."""
        sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, prepared if the module is one of ours to act on; None for all others."""
        action, rewrite = self._actions.get(name), self._rewrites.get(name)
        if action is None and rewrite is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if action is not None:
                    _act_after(spec.loader, name, action)
                if rewrite is not None:
                    _rewrite(spec.loader, name, rewrite)
                return spec
        return None


def _act_after(loader: Any, name: str, action: Action) -> None:
    original = getattr(loader, "exec_module", None)
    if original is None:  # a namespace package has no code after which to act
        return

    def exec_module(module: ModuleType) -> None:
        if module.__name__ != name:  # a loader of many modules, as that of a zip file
            original(module)
            return
        _drop(loader, "exec_module", exec_module)
        original(module)
        action(module)

    exec_module.__code__ = exec_module.__code__.replace(co_filename=_HIDDEN)
    loader.exec_module = exec_module


def _rewrite(loader: Any, name: str, rewrite: Rewrite) -> None:
    original = getattr(loader, "get_code", None)
    if original is None:
        return

    def get_code(fullname: str) -> CodeType | None:
        if fullname == name:
            _drop(loader, "get_code", get_code)
            code = rewrite(loader, name)
            if code is not None:
                return code
        found: CodeType | None = original(fullname)
        return found

    loader.get_code = get_code


def _drop(loader: Any, attribute: str, ours: Any) -> None:
    if vars(loader).get(attribute) is ours:
        delattr(loader, attribute)
