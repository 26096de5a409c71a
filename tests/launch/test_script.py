"""A script cannot tell whether Python runs it or we do: names, paths, output, errors, signals, exit."""

from __future__ import annotations

import py_compile
import signal
import sys
import textwrap
import zipapp
from pathlib import Path

import pytest
from launching import both, under_python, under_us

ALIKE = {
    "what it knows of itself": """
        '''Its docstring.'''
        import sys
        print(sys.argv, sys.path[0], sys.path, __name__, __file__, __doc__, __spec__, __package__, __cached__)
        print(type(__loader__), __loader__.name, __loader__.path, __builtins__, sorted(globals()), __annotations__)
        print(sys.modules["__main__"].__dict__ is globals(), locals() is globals(), vars() is globals())
    """,
    "future imports are its own": """
        def f(x: undefined_name): pass
    """,
    "its future imports": """
        from __future__ import annotations
        def f(x: undefined_name): pass
        print(f.__annotations__)
    """,
    "a file beside it": """
        import beside
        print(beside.__file__, open("data.txt").read())
    """,
    "its folder comes before ours": """
        import coverage
        print(coverage.HERE)
    """,
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "an error": """
        def f(x):
            return 1 / x
        print("before", flush=True)
        f(0)
    """,
    "a chain of errors": """
        def f():
            try:
                {}["a"]
            except KeyError as error:
                raise ValueError("b") from error
        try:
            f()
        except ValueError:
            raise RuntimeError("c")
    """,
    "a group of errors": "raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('more', [KeyError(2)])])",
    "an error in a module": "import failing",
    "an import that fails": "import no_such_module",
    "a name that a module does not have": "from json import no_such_name",
    "a syntax error": "x = = 1",
    "a syntax error in a module": "import garbled",
    "an indentation error": "if 1:\npass",
    "an OSError is not ours to explain": "open('no such file')",
    "an error like click's": "raise EOFError('end')",
    "a broken pipe": "raise BrokenPipeError(32, 'Broken pipe')",
    "an assertion": "assert 1 == 2, 'no'",
    "exit": "import sys; sys.exit()",
    "exit 0": "import sys; sys.exit(0)",
    "exit 3": "import sys; sys.exit(3)",
    "exit 300": "import sys; sys.exit(300)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit True": "import sys; sys.exit(True)",
    "exit with text": "import sys; sys.exit('that is why')",
    "exit with an object": "import sys; sys.exit((1, 'a'))",
    "exit by name": "exit(4)",
    "what a frame holds at the exit is let go of at once": """
        import sys
        class Thing:
            def __del__(self):
                print("gone while modules are there:", sys is not None and sys.modules is not None, state)
        state = ["running"]
        import atexit
        atexit.register(state.append, "exit handlers")
        import gc
        gc.disable()
        def f():
            thing = Thing()
            sys.exit(3)
        f()
    """,
    "raise SystemExit": "raise SystemExit(5)",
    "exit from a function": "import os\ndef f():\n    raise SystemExit(6)\nf()",
    "os._exit": "import os; print('x', flush=True); os._exit(7)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "KeyboardInterrupt caught": "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    print('caught')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
    "a handler of its own": """
        import os, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        os.kill(os.getpid(), signal.SIGTERM)
    """,
    "handlers are Python's": "import signal; print([signal.getsignal(s) for s in (2, 13, 15)])",
    "abort": "import os; os.abort()",
    "exit handlers": """
        import atexit, sys
        atexit.register(print, "first")
        atexit.register(print, "second", file=sys.stderr)
        raise ValueError(1)
    """,
    "an exit handler that fails": "import atexit; atexit.register(int, 'x')",
    "threads are waited for": """
        import threading, time
        def work():
            time.sleep(0.2)
            print("worked")
        threading.Thread(target=work).start()
        print("main is done")
    """,
    "an error in a thread": """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name="mine")
        thread.start(); thread.join()
    """,
    "an excepthook of its own": """
        import sys, traceback
        def hook(kind, value, trace):
            print("hook", kind, value, [f.name for f in traceback.extract_tb(trace)], sys.excepthook is hook)
            print(value.__traceback__ is trace, sys.last_type, sys.last_value, sys.last_traceback is trace)
        sys.excepthook = hook
        def f():
            raise ValueError(1)
        f()
    """,
    "an excepthook that fails": """
        import sys
        def hook(*error):
            raise KeyError("in the hook")
        sys.excepthook = hook
        raise ValueError(1)
    """,
    "an excepthook that exits": "import sys\nsys.excepthook = lambda *e: sys.exit(8)\nraise ValueError(1)",
    "a traceback printed by itself": "import traceback\ntry:\n    1 / 0\nexcept Exception:\n    traceback.print_exc()",
    "warnings": "import warnings; warnings.warn('careful'); warnings.warn('old', DeprecationWarning)",
    "recursion": "def f():\n    f()\ntry:\n    f()\nexcept RecursionError as e:\n    print(e)",
    "stdout closed at the end": "import sys; print('a'); sys.stdout.close()",
    "stderr closed at the end": "import sys; print('a'); sys.stderr.close()",
    "its classes are pickled": """
        import pickle
        class Point:
            def __init__(self, x): self.x = x
            def __eq__(self, other): return self.x == other.x
        print(pickle.loads(pickle.dumps(Point(3))) == Point(3), Point.__module__, pickle.dumps(Point))
    """,
    "a dataclass, an inspected source": """
        import dataclasses, inspect, typing
        @dataclasses.dataclass
        class Config:
            lr: "float" = 0.1
        print(Config(), inspect.getsource(Config), inspect.getfile(Config), typing.get_type_hints(Config))
    """,
    "import __main__": "import __main__, sys\nx = 3\nprint(__main__.x, __main__ is sys.modules['__main__'])",
    "runpy": "import runpy; print(runpy.run_path('beside.py', run_name='other')['NAME'])",
    "fork": """
        import os, sys
        child = os.fork()
        if child == 0:
            print("child", flush=True)
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "changes its folder": "import os\nos.mkdir('elsewhere')\nos.chdir('elsewhere')\n1 / 0",
    "is gone when it fails": "import os\nos.remove(__file__)\nraise ValueError(1)",
    "arguments of argparse": """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--data")
        print(parser.parse_args())
    """,
}
POOLS = """
import multiprocessing as mp, sys
NAME = __name__
class Item:
    def __init__(self, n): self.n = n
def work(item):
    return item.n * 2, sys.argv, __name__, __file__
if __name__ == "__main__":
    with mp.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(work, [Item(1), Item(2)]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("NAME = __name__\n")
    (tmp_path / "coverage.py").write_text("HERE = 'beside the script'\n")
    (tmp_path / "failing.py").write_text("def f():\n    raise ValueError('in a module')\nf()\n")
    (tmp_path / "garbled.py").write_text("y = (\n")
    (tmp_path / "data.txt").write_text("text")
    return tmp_path


def write(folder: Path, name: str, source: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(source))


@pytest.mark.parametrize("what", ALIKE)
def test_a_script_ends_as_under_python(folder: Path, what: str) -> None:
    """GIVEN a script WHEN run by Python and by us THEN output, messages and status are the same."""
    endings = []
    for run in (under_python, under_us):
        place = folder / "same"
        place.mkdir()
        for file in folder.glob("*.*"):
            (place / file.name).write_bytes(file.read_bytes())
        write(place, "script.py", ALIKE[what])
        ending = run(place, "script.py", "--data", "-m", "--", "x y")
        endings.append((ending.status, ending.out, ending.err))
        place.rename(folder / run.__name__)

    assert endings[1] == endings[0]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("words", [["pools.py"], ["-m", "pools"]])
def test_pools(folder: Path, method: str, words: list[str]) -> None:
    write(folder, "pools.py", POOLS)

    plain, ours = both(folder, *words, method)

    assert (plain.status, plain.err) == (0, "")
    assert ours == plain


def test_a_script_in_another_folder_and_a_link_to_it(folder: Path) -> None:
    write(folder, "sub/script.py", "import sys; print(sys.argv, __file__, sys.path[0]); 1 / 0")
    (folder / "link.py").symlink_to("sub/script.py")

    for name in ("sub/script.py", str(folder / "sub" / "script.py"), "link.py", "./link.py"):
        plain, ours = both(folder, name)
        assert ours == plain


def test_encodings(folder: Path) -> None:
    (folder / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nprint(len('é'), ascii('é'))\n".encode("latin-1"))
    (folder / "mark.py").write_bytes(b"\xef\xbb\xbfprint(len('\xc3\xa9'))\n")

    for name in ("latin.py", "mark.py"):
        plain, ours = both(folder, name)
        assert ours == plain
        assert plain.out[0] == "1"


MODULE = "import sys; print(sys.argv, sys.path[0], __name__, __file__, __spec__.name, __package__); 1 / 0"


def test_modules_and_packages(folder: Path) -> None:
    write(folder, "pkg/__init__.py", "import sys; print(sys.argv)")
    write(folder, "pkg/mod.py", f"from . import __name__ as n\n{MODULE}")
    write(folder, "pkg/__main__.py", MODULE)

    for name in ("pkg.mod", "pkg", "pkg.absent", "absent", "absent.mod", "pkg.mod.py"):
        plain, ours = both(folder, "-m", name, "--flag", "-m")
        assert ours == plain
        assert plain.status == 1


def test_folders_zip_files_and_compiled_files(folder: Path) -> None:
    write(folder, "app/__main__.py", MODULE.replace("__package__", "repr(__package__)"))
    write(folder, "app/other.py", "")
    write(folder, "empty/other.py", "")
    zipapp.create_archive(folder / "app", folder / "app.pyz")
    write(folder, "compiled.py", "import sys; print(sys.argv, __file__)")
    py_compile.compile(str(folder / "compiled.py"), str(folder / "compiled.pyc"))

    for name in ("app", "./app", "app.pyz", "compiled.pyc", "empty"):
        plain, ours = both(folder, name, "a")
        assert ours == plain


def test_ctrl_c_kills_by_sigint(folder: Path) -> None:
    write(folder, "script.py", ALIKE["interrupted"])

    assert under_us(folder, "script.py").status == -signal.SIGINT


def test_nothing_is_imported_before_the_script(folder: Path) -> None:
    """GIVEN a script that imports nothing WHEN run THEN numpy and everything heavy stays out."""
    write(folder, "script.py", "import sys; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))")

    loaded = set(under_us(folder, "script.py").out.split())

    assert loaded & {"numpy", "pandas", "pyarrow", "rich", "xxhash", "fsspec", "multiprocessing", "jinja2"} == set()
    assert loaded - set(sys.stdlib_module_names) - set(under_python(folder, "script.py").out.split()) == {
        "click",
        "coverage_audit",
    }


def test_safe_path(folder: Path) -> None:
    """With PYTHONSAFEPATH nothing is put before what is there."""
    write(folder, "script.py", "import sys; print(sys.path)")
    write(folder, "app/__main__.py", "import sys; print(sys.path)")

    for name in ("script.py", "app"):
        plain, ours = both(folder, name, PYTHONSAFEPATH="1")
        assert ours == plain


def test_disabled(folder: Path) -> None:
    """With COVERAGE_AUDIT_DISABLE=1 the script runs, nothing is said, nothing is hooked or left."""
    write(folder, "script.py", "import sys, os; print(len(sys.meta_path), sorted(os.environ)); 1 / 0")
    before = sorted(folder.iterdir())

    plain = under_python(folder, "script.py", COVERAGE_AUDIT_DISABLE="1")
    ours = under_us(folder, "script.py", COVERAGE_AUDIT_DISABLE="1")

    assert ours == plain
    assert sorted(folder.iterdir()) == before
