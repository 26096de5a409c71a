"""What runs in a training loop imports nothing heavy, and nothing of any framework."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

HEAVY = ("pandas", "pyarrow", "tensorflow", "torch", "keras", "matplotlib", "rich", "click", "fsspec", "h5py", "zarr")
FRAMEWORKS = ("tensorflow", "torch", "keras")


def loaded_by(script: str, *args: object) -> set[str]:
    """The top-level packages that are imported when a script is about to end."""
    script = textwrap.dedent(script) + "\nimport sys; print('\\n'.join({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_by("import coverage_audit; dir(coverage_audit)") & {*HEAVY, "numpy"} == set()


RECORD = """
import sys
import numpy as np
import coverage_audit as ca

data = ca.Dataset.open(sys.argv[1] + "/x_*.npy")
x = np.load(sys.argv[1] + "/x_0.npy", mmap_mode="r")
gen = ca.wrap(((x[i : i + 4],) for i in range(0, 16, 4)), data, sys.argv[1] + "/run.parquet", batch_size=4)
for batch in gen:
    pass
with gen.recorder.epoch():
    gen.recorder.step([1, 2])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "x_0.npy", np.zeros((16, 2)))
    return tmp_path


def test_recording_imports_nothing_heavy(folder: Path) -> None:
    """fsspec may come in for paths that are URLs only, so not here."""
    assert loaded_by(RECORD, folder) & set(HEAVY) == set()


def test_closing_makes_the_parts_and_imports_no_framework(folder: Path) -> None:
    loaded = loaded_by(RECORD + "gen.recorder.close()", folder)
    assert "pyarrow" in loaded
    assert loaded & {*FRAMEWORKS, "pandas"} == set()
    assert [p.name for p in (folder / "run.parquet").iterdir()] == ["part-a000-r0000-p0001-00000.parquet"]


def test_a_verdict_needs_no_pandas(folder: Path) -> None:
    """Importing it takes longer than counting a million visits; frames are made when they are asked for."""
    loaded = loaded_by(RECORD + "gen.recorder.close(); print(ca.audit(sys.argv[1] + '/run.parquet').verdict)", folder)
    assert loaded & {*FRAMEWORKS, "pandas"} == set()


EVERY_ADAPTER = """
import importlib, pkgutil
import coverage_audit.adapters as adapters
for module in pkgutil.iter_modules(adapters.__path__):
    importlib.import_module(f"coverage_audit.adapters.{module.name}")
import coverage_audit.recorder.recorder as recorder
with recorder.Recorder(sys.argv[1] + "/state.parquet") as rec:
    rec.load_state_dict(rec.state_dict())
    rec.stream.writer.recording = False  # so that no parts are made
"""


def test_adapters_import_their_frameworks_when_asked_only(folder: Path) -> None:
    """Every module of adapters/ can be imported where its framework is not, and brings nothing in."""
    every = {"datasets", "webdataset", "grain", "streaming", "litdata", "torchdata", "accelerate", "transformers"}
    loaded = loaded_by(EVERY_ADAPTER.replace("import importlib", "import sys, importlib"), folder)
    assert loaded & {*FRAMEWORKS, *every, "pandas", "lightning", "pytorch_lightning", "jax"} == set()
