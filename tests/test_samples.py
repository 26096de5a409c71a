"""sample_data/ is what its make.py makes; reports/ is what the tool says about it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import coverage_audit as ca

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_data"
MADE_BY_HAND = {"README.md", "make.py"}
EXIT_STATUS = {"clean": 0, "short-epoch": 2, "drifting": 2, "missed-shard": 2, "killed": 3}


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sample_data/ made again, by a process of its own: it sets the clock of the process it runs in."""
    folder = tmp_path_factory.mktemp("sample_data")
    subprocess.run([sys.executable, str(SAMPLES / "make.py"), str(folder)], check=True, timeout=120)
    return folder


def files_below(folder: Path) -> dict[str, Path]:
    paths = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(folder).as_posix(): p for p in paths if p.name not in MADE_BY_HAND}


def test_the_same_files_are_made(rebuilt: Path) -> None:
    assert sorted(files_below(rebuilt)) == sorted(files_below(SAMPLES))


def test_every_file_but_the_parts_is_the_same_byte_for_byte(rebuilt: Path) -> None:
    committed = files_below(SAMPLES)
    different = [
        name
        for name, path in files_below(rebuilt).items()
        if path.suffix != ".parquet" and name != "VERSIONS" and path.read_bytes() != committed[name].read_bytes()
    ]
    assert different == []


def test_the_parts_hold_the_same(rebuilt: Path) -> None:
    """Byte for byte where this pyarrow is the one of VERSIONS; rows, columns and footers with any other."""
    committed = files_below(SAMPLES)
    same_writer = f"pyarrow {pa.__version__}" in (SAMPLES / "VERSIONS").read_text().splitlines()
    parts = [name for name in committed if name.endswith(".parquet")]
    for name in parts:
        here, there = files_below(rebuilt)[name], committed[name]
        assert pq.read_table(here).equals(pq.read_table(there)), name
        assert footer_of(here) == footer_of(there), name
        if same_writer:
            assert here.read_bytes() == there.read_bytes(), name
    assert len(parts) == 4  # the killed run left a journal


def footer_of(part: Path) -> dict[bytes, bytes]:
    metadata = pq.read_metadata(part).metadata or {}
    return {key: value for key, value in metadata.items() if key.startswith(b"coverage_audit.")}


def test_versions_are_those_that_made_it() -> None:
    """After a change of version: make samples."""
    assert f"coverage-audit {ca.__version__}" in (SAMPLES / "VERSIONS").read_text().splitlines()


@pytest.mark.parametrize(("name", "status"), EXIT_STATUS.items())
def test_each_sample_has_the_exit_status_its_readme_says(name: str, status: int) -> None:
    """Reading a log changes nothing, so the committed one is read."""
    assert ca.audit(SAMPLES / name / "run.parquet").exit_status == status
    line = next(li for li in (SAMPLES / "README.md").read_text().splitlines() if li.startswith(f"| `{name}` |"))
    assert line.endswith(f"| {status} |")


@pytest.mark.parametrize(
    "file",
    [p for p in sorted(SAMPLES.rglob("*")) if p.suffix in (".json", ".journal", ".parquet") and p.is_file()],
    ids=lambda p: p.relative_to(SAMPLES).as_posix(),
)
def test_no_sample_tells_where_it_was_made(file: Path) -> None:
    data = file.read_bytes()
    assert b"/home/" not in data
    assert tempfile.gettempdir().encode() not in data
    assert str(ROOT).encode() not in data
