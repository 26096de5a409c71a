"""Acting after an import cannot be seen from the module, its spec, its loader, or a traceback."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import inspect
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from coverage_audit.launch.imports import AfterImport

Watch = Callable[..., list[str]]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch names; gives the list of what was acted on. The modules lie in ``tmp_path``."""
    finders: list[AfterImport] = []
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def start(*names: str) -> list[str]:
        acted: list[str] = []
        finder = AfterImport({name: lambda module: acted.append(module.__name__) for name in names})
        finder.install()
        finders.append(finder)
        return acted

    yield start
    for finder in finders:
        finder.uninstall()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(place: Path, source: str = "") -> None:
    place.parent.mkdir(exist_ok=True)
    place.write_text(textwrap.dedent(source))


def test_it_acts_once_after_the_module_is_complete(tmp_path: Path) -> None:
    write(tmp_path / "watched_a.py", "x = 1\n")
    seen: list[int] = []
    finder = AfterImport({"watched_a": lambda module: seen.append(module.x)})
    sys.path.insert(0, str(tmp_path))
    finder.install()
    try:
        import watched_a  # type: ignore[import-not-found]

        importlib.import_module("watched_a")
        assert seen == [1]
        assert watched_a is sys.modules["watched_a"]
    finally:
        finder.uninstall()
        sys.path.remove(str(tmp_path))
        del sys.modules["watched_a"]


def test_the_module_is_as_without_us(tmp_path: Path, watch: Watch) -> None:
    """GIVEN a package imported with and without us THEN spec, loader, path, resources and source are alike."""
    write(
        tmp_path / "pkg_b" / "__init__.py", "import sys\nHERE = sys.modules[__name__].__spec__.loader.__dict__.copy()\n"
    )
    write(tmp_path / "pkg_b" / "data.txt", "resource")
    write(tmp_path / "pkg_b" / "inner.py", "y = 2")

    def facts() -> list[object]:
        module = importlib.import_module("pkg_b")
        inner = importlib.import_module("pkg_b.inner")
        spec = module.__spec__
        assert spec is not None
        told = [
            type(spec), spec.name, spec.origin, spec.submodule_search_locations, spec.cached, spec.has_location,
            type(spec.loader), vars(spec.loader), module.HERE, module.__loader__ is spec.loader, module.__path__,
            inspect.getsource(module), importlib.resources.files("pkg_b").joinpath("data.txt").read_text(), inner.y,
        ]  # fmt: skip
        del sys.modules["pkg_b"], sys.modules["pkg_b.inner"]
        return told

    plain = facts()
    acted = watch("pkg_b")
    watched = facts()

    assert acted == ["pkg_b"]
    assert watched == plain


def test_modules_that_are_there_are_acted_on_at_once(watch: Watch) -> None:
    assert watch("textwrap", "no_such_module") == ["textwrap"]


def test_reload(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path / "watched_c.py", "x = 1\n")
    acted = watch("watched_c")
    module = importlib.import_module("watched_c")
    write(tmp_path / "watched_c.py", "x = 22\n")

    assert importlib.reload(module) is module
    assert module.x == 22
    assert acted == ["watched_c", "watched_c"]


def test_looking_for_a_module_is_not_importing_it(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path / "watched_d.py")
    acted = watch("watched_d")

    assert importlib.util.find_spec("watched_d") is not None
    assert acted == []
    importlib.import_module("watched_d")
    assert acted == ["watched_d"]


def test_lazy_loading(tmp_path: Path, watch: Watch) -> None:
    """``importlib.util.LazyLoader`` executes the module at its first attribute; so do we act then."""
    write(tmp_path / "watched_e.py", "x = 5\n")
    acted = watch("watched_e")
    spec = importlib.util.find_spec("watched_e")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["watched_e"] = module
    spec.loader.exec_module(module)

    assert acted == []
    assert module.x == 5
    assert acted == ["watched_e"]


def test_a_zip_file_loads_many_modules_by_one_loader(tmp_path: Path, watch: Watch) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        file.writestr("zipped_f.py", "import zipped_g\n")
        file.writestr("zipped_g.py", "z = 3\n")
        file.writestr("zipped_h.py", "z = 4\n")
    sys.path.insert(0, str(tmp_path / "many.zip"))
    try:
        acted = watch("zipped_f", "zipped_g", "absent")
        importlib.import_module("zipped_h")
        importlib.import_module("zipped_f")
    finally:
        sys.path.remove(str(tmp_path / "many.zip"))

    assert acted == ["zipped_g", "zipped_f"]


def test_a_namespace_package(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "space_i").mkdir()
    acted = watch("space_i")

    assert isinstance(importlib.import_module("space_i"), ModuleType)
    assert acted == []


FAILING = {
    "ImportError": "import no_such_module_j",
    "from": "from json import nothing",
    "ValueError": "def f():\n    raise ValueError(1)\nf()",
    "syntax": "x = (",
    "twice": "import fails_inside",
}
PROGRAM = """
import sys
if sys.argv[1:]:
    from coverage_audit.launch.imports import AfterImport
    AfterImport({name: print for name in ("failing_k", "fails_inside", "absent_l")}).install()
for name in ("absent_l", "failing_k"):
    try:
        __import__(name)
    except ValueError:
        raise
    except Exception:
        import traceback
        traceback.print_exc()
import failing_k
"""


@pytest.mark.parametrize("how", FAILING)
def test_tracebacks_of_failing_imports_do_not_show_us(tmp_path: Path, how: str) -> None:
    write(tmp_path / "failing_k.py", FAILING[how])
    write(tmp_path / "fails_inside.py", "1 / 0")
    write(tmp_path / "program.py", PROGRAM)

    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "program.py", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert run("watched") == run()
