"""--loader NAME: functions and classes of the script, or of a module, whose batches are recorded because asked for.

In a script the definition gets one more decorator when it is compiled, on the line where it begins, so that every use
of the name meets the recording one. In a module the name is bound anew when the module has been imported.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

from coverage_audit.errors import UsageError
from coverage_audit.launch.session import Handed, Session

DECORATOR = "__coverage_audit_recorded__"
"""The name of our decorator among the builtins, where no module's names show it."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Named:
    """The loaders that were asked for: ``name`` of the script (``Class.method`` too), ``module:name`` of a module."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.in_script: tuple[str, ...] = tuple(n for n in session.options.loaders if ":" not in n)
        pairs = [name.split(":", 1) for name in session.options.loaders if ":" in name]
        self.modules: dict[str, list[str]] = {}
        for module, name in pairs:
            self.modules.setdefault(module, []).append(name)

    def compile(self, source: bytes | str, path: str) -> CodeType:
        """The code of a script, its named definitions decorated. Raises ``SyntaxError`` as Python does."""
        if not self.in_script:
            plain: CodeType = compile(source, path, "exec", dont_inherit=True)
            return plain
        tree = ast.parse(source, path)
        for name in self.in_script:
            found = list(_definitions(tree.body, name.split(".")))
            for definition in found:
                line = min([definition.lineno, *(d.lineno for d in definition.decorator_list)])
                ours = ast.Name(DECORATOR, ast.Load(), lineno=line, col_offset=definition.col_offset)
                ours.end_lineno, ours.end_col_offset = line, definition.col_offset
                definition.decorator_list.insert(0, ours)
            if not found:
                self._session.note(f"--loader {name}: {path} defines no such function or class at its top level")
        setattr(builtins, DECORATOR, self.record)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code

    def code_of_module(self, loader: Any, name: str) -> CodeType | None:
        """The same for a module that is run as a program; None where it has no source."""
        source = loader.get_source(name)
        return None if source is None else self.compile(source, loader.get_filename(name))

    def replace_in(self, module: ModuleType) -> None:
        """Bind the names asked for of a module, now imported, to what records."""
        for name in self.modules[module.__name__]:
            *outer, last = name.split(".")
            try:
                owner: Any = functools.reduce(getattr, outer, module)
                found = inspect.getattr_static(owner, last)
            except AttributeError:
                self._session.note(f"--loader {module.__name__}:{name}: the module has no {name!r}")
                continue
            setattr(owner, last, self.record(found))

    def record(self, thing: Any) -> Any:
        """A function that does the same and has what it returns recorded; the same class, its batches recorded."""
        if isinstance(thing, staticmethod | classmethod):
            return type(thing)(self.record(thing.__func__))
        if isinstance(thing, type):
            return self._record_class(thing)
        if inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing) or not callable(thing):
            self._session.note(f"--loader {getattr(thing, '__name__', thing)}: only functions and classes are recorded")
            return thing
        call: Callable[..., Any] = thing
        name = getattr(call, "__qualname__", type(call).__qualname__)

        @functools.wraps(call)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            return self._returned(call(*args, **kwargs), name)

        return recorded

    def _returned(self, result: Any, name: str) -> Any:
        try:
            if is_evaluating():
                return result
            if is_batch(result):
                return self._session.take(result)
            handed = _handed(result)
            if handed is not None:
                self._session.handed_on[name] = handed
            if handed is not None or is_a_frameworks(type(result)):
                return result
            if hasattr(type(result), "__next__") or (hasattr(type(result), "__iter__") and not isinstance(result, str)):
                return self._session.wrap(result)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self._session.fail(error)
        return result

    def _record_class(self, kind: type) -> type:
        if is_a_frameworks(kind):
            return kind
        if hasattr(kind, "__next__"):
            pull: Callable[..., Any] = kind.__next__

            @functools.wraps(pull)
            def __next__(this: Any) -> Any:
                return self._returned(pull(this), kind.__qualname__)

            kind.__next__ = __next__
        elif hasattr(kind, "__iter__"):
            begin: Callable[..., Any] = kind.__iter__

            @functools.wraps(begin)
            def __iter__(this: Any) -> Any:
                return begin(this) if is_evaluating() else iter(self._session.wrap(_Again(begin, this)))

            kind.__iter__ = __iter__
        else:
            self._session.note(f"--loader {kind.__name__}: it is not iterated; name its method, {kind.__name__}.method")
        return kind


class _Again:
    """What a class's own ``__iter__`` gives, each time it is asked."""

    def __init__(self, begin: Callable[..., Any], this: Any) -> None:
        self._begin = begin
        self._this = this

    def __iter__(self) -> Iterator[Any]:
        iterator: Iterator[Any] = self._begin(self._this)
        return iterator


def is_evaluating() -> bool:
    """Whether torch is told not to follow gradients, as in evaluation; False without torch."""
    enabled = getattr(sys.modules.get("torch"), "is_grad_enabled", None)
    return enabled is not None and not enabled()


def is_a_frameworks(kind: type) -> bool:
    """Whether this is a loader of a framework (DataLoader, PyDataset, tf.data.Dataset), recorded where it is used."""
    return any(base.__module__.split(".")[0] in ("keras", "tensorflow", "torch") for base in kind.__mro__)


def _handed(value: Any) -> Handed | None:
    """What is said of a loader that is recorded in fit only, or of the first one of several (training, validation)."""
    if isinstance(value, tuple | list):
        return next(filter(None, map(_handed, value)), None)
    kind = type(value)
    for base in kind.__mro__:
        module = base.__module__.split(".")[0]
        if module == "tensorflow" and hasattr(kind, "__next__"):
            return Handed("an iterator of tf.data", "(batch for batch in data)")
        if module == "tensorflow" and hasattr(kind, "element_spec"):
            return Handed("a tf.data.Dataset", "(batch for batch in data)")
        if module == "keras" and hasattr(kind, "__getitem__"):
            return Handed("a PyDataset", "(data[i] for i in range(len(data)))")
    return None


def is_batch(value: Any) -> bool:
    """Whether this is one batch rather than something that yields batches: arrays, or a structure of arrays.

    A list is a batch only if arrays stand directly in it: else it is a list of batches.
    """
    if hasattr(type(value), "__next__"):
        return False
    if _is_array(value):
        return True
    if isinstance(value, list):
        return any(map(_is_array, value))
    if isinstance(value, tuple):
        return any(_is_array(part) or (isinstance(part, tuple | Mapping) and is_batch(part)) for part in value)
    return isinstance(value, Mapping) and any(map(is_batch, value.values()))


def require_defined(source: bytes, path: str, names: tuple[str, ...]) -> None:
    """Raise :class:`UsageError` (no-loader) for a name that the script does not define.

    A script that does not compile is Python's to complain of.
    """
    try:
        body = ast.parse(source, path).body
    except (SyntaxError, ValueError):
        return
    for name in names:
        if any(_definitions(body, name.split("."))):
            continue
        raise UsageError(f"--loader {name}: {path} {_where_else(body, name)}", slug="no-loader")


def _where_else(body: list[ast.stmt], name: str) -> str:
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"imports it, so name the module too: --loader {node.module}:{alias.name}"
    known = [node.name for node in _statements(body) if isinstance(node, _Definition)]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it defines {', '.join(known) or 'none at its top level'}"
    return f"defines no such function or class; {hint}"


def _definitions(body: list[ast.stmt], names: list[str]) -> Iterator[_Definition]:
    for node in _statements(body):
        if isinstance(node, _Definition) and node.name == names[0]:
            if len(names) == 1:
                yield node
            elif isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, names[1:])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a body and of the blocks in it (if, try, with, loops), without those of functions and classes."""
    for node in body:
        yield node
        if not isinstance(node, _Definition):
            for inner in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, inner, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _is_array(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    return shape is not None and hasattr(value, "dtype") and len(shape) > 0
