"""Runs a script, a folder, a zip file or a module as `python` would: same argv, path, __main__ and ending.

What Python does at start-up, by its documentation and `Modules/main.c`: ``sys.argv[0]`` as given, ``sys.path[0]`` the
folder of the script with links resolved, ``__file__`` absolute, a folder or zip file run by its ``__main__``.
"""

from __future__ import annotations

import builtins
import io
import os
import pkgutil
import runpy
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType

from coverage_audit.launch.uncaught import show_as_python

Compile = Callable[[bytes, str], CodeType]
"""From the source of a script and its file name to its code."""


@dataclass(frozen=True, slots=True)
class Program:
    """``name``: the path of a script as it was given, or the name of a module. ``arguments``: what follows it."""

    name: str
    is_module: bool = False
    arguments: tuple[str, ...] = ()

    def is_there(self) -> bool:
        """Whether there is such a file; modules are looked for when they are run."""
        return self.is_module or os.path.exists(self.name)

    @property
    def command(self) -> str:
        """As it was typed."""
        return shlex.join([*(("-m",) if self.is_module else ()), self.name, *self.arguments])

    def run(self, compile_script: Compile) -> None:
        """Be this program. Raises what it raises; what it leaves uncaught is shown without our frames."""
        main = _fresh_main()
        sys.modules["__main__"] = main
        try:
            if self.is_module:
                sys.argv[:] = ["-m", *self.arguments]
                _put_first(os.getcwd())
                runpy._run_module_as_main(self.name)  # type: ignore[attr-defined] # what `python -m` itself calls
                return
            sys.argv[:] = [self.name, *self.arguments]
            path = _absolute(self.name)
            if pkgutil.get_importer(path) is None:
                _put_first(os.path.dirname(os.path.realpath(path)))
                main.__file__ = path
                main.__dict__["__cached__"] = None
                main.__loader__ = SourceFileLoader("__main__", path)
                exec(_code_of(path, compile_script), main.__dict__)
            else:
                _put_first(path, always=True)
                runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        except BaseException as error:
            # No name for the traceback: it would keep itself and the script's frames alive until Python ends, and what
            # they hold (iterators with threads of their own) may not be let go of that late.
            show_as_python(error, error.__traceback__ and error.__traceback__.tb_next)
            raise


def compile_plainly(source: bytes, path: str) -> CodeType:
    """As Python compiles a script, by its encoding declaration and its own future imports."""
    code: CodeType = compile(source, path, "exec", dont_inherit=True)
    return code


def source_of(name: str) -> tuple[bytes, str] | None:
    """Source and file name of a script; None for what is no source file, as folders, zip files and .pyc files."""
    path = _absolute(name)
    if pkgutil.get_importer(path) is not None or _compiled(path) is not None:
        return None
    with io.open_code(path) as file:
        return file.read(), path


def _absolute(name: str) -> str:
    return os.path.join(os.getcwd(), name)  # and no more: Python keeps ./ and ../ too


def _code_of(path: str, compile_script: Compile) -> CodeType:
    compiled = _compiled(path)
    if compiled is not None:
        return compiled
    with io.open_code(path) as file:
        return compile_script(file.read(), path)


def _compiled(path: str) -> CodeType | None:
    """The code in a .pyc file; None for any other file."""
    with io.open_code(path) as file:
        code: CodeType | None = pkgutil.read_code(file)
    return code


def _fresh_main() -> ModuleType:
    """An empty __main__ as the interpreter makes it."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    return main


def _put_first(folder: str, *, always: bool = False) -> None:
    """Take the place in sys.path that the interpreter gave to our own program, if it gave one."""
    if not sys.flags.safe_path:
        sys.path[0] = folder
    elif always:
        sys.path.insert(0, folder)
