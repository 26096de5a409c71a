"""The configuration: where it is found, what it may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from coverage_audit.config import IDENTIFY, KINDS, PERS, Config, Gates, RunSettings, find_config, read_config
from coverage_audit.errors import ConfigError
from coverage_audit.model import contract
from coverage_audit.recorder import ways

EVERYTHING = """
log = "logs/run.parquet"
fail-on = ["CA201"]
warn-on = ["drifting-epochs", "CA606"]
max-missed = 3
max-repeated = 0
allow-incomplete = true
exit-zero = true
verify-every = 16
[rules.CA202]
spread = 2
[run]
data = "shards/x_*.npy"
aligned = ["shards/y_*.npy", "shards/z_*.npy"]
validation-data = "held_out/x_*.npy"
log = "here.parquet"
batch-size = 64
contract = "drop-remainder"
per = "pass"
identify = "content"
verify-every = 8
loader = ["batches", "pkg.data:Data.next_batch"]
"""


def refusal(folder: Path, text: str) -> str:
    (folder / "coverage-audit.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(folder, {})
    return str(caught.value).replace(f"{folder / 'coverage-audit.toml'}", "FILE")


def test_nothing_is_configured(tmp_path: Path) -> None:
    assert read_config(tmp_path, {}) == Config("run.parquet", Gates((), (), 0, None, False), False, 64, {})


def test_every_key(tmp_path: Path) -> None:
    (tmp_path / "coverage-audit.toml").write_text(EVERYTHING)

    assert read_config(tmp_path, {}) == Config(
        log="logs/run.parquet",
        gates=Gates(("CA201",), ("drifting-epochs", "CA606"), 3, 0, True),
        exit_zero=True,
        verify_every=16,
        rules={"CA202": {"spread": 2}},
        run=RunSettings(
            data=("shards/x_*.npy",),
            aligned=("shards/y_*.npy", "shards/z_*.npy"),
            validation_data=("held_out/x_*.npy",),
            log="here.parquet",
            batch_size=64,
            contract="drop-remainder",
            per="pass",
            identify="content",
            verify_every=8,
            loader=("batches", "pkg.data:Data.next_batch"),
        ),
    )


def test_what_the_run_table_may_say_is_what_there_is() -> None:
    """config imports nothing of the package, so it repeats these."""
    assert (KINDS, PERS, IDENTIFY) == (contract.KINDS, contract.PERS, ways.WAYS)


def test_the_nearest_file_upwards(tmp_path: Path) -> None:
    """GIVEN a table above and a pyproject.toml without one in between THEN the table above counts."""
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.coverage-audit]\nmax-missed = 7\n")
    (tmp_path / "a/pyproject.toml").write_text("[project]\nname = 'other'\n")

    assert find_config(below, {}) == tmp_path / "pyproject.toml"
    assert read_config(below, {}).gates.max_missed == 7

    (tmp_path / "a/coverage-audit.toml").write_text("max-missed = 8\n")
    assert read_config(below, {}).gates.max_missed == 8


def test_the_environment_names_a_file_and_a_log(tmp_path: Path) -> None:
    (tmp_path / "ci.toml").write_text("max-missed = 9\nlog = 'a.parquet'\n")
    environ = {"COVERAGE_AUDIT_CONFIG": str(tmp_path / "ci.toml"), "COVERAGE_AUDIT_LOG": "b.parquet"}

    config = read_config(tmp_path, environ)

    assert (config.gates.max_missed, config.log) == (9, "b.parquet")
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path, {"COVERAGE_AUDIT_CONFIG": "gone.toml"})
    assert str(caught.value) == "COVERAGE_AUDIT_CONFIG='gone.toml' is no file: correct it, or unset it [no-config]"


@pytest.mark.parametrize(
    ("text", "message", "slug"),
    [
        ("max_missed = 3", "unknown key 'max_missed'; did you mean 'max-missed'?", "unknown-key"),
        ("fail-in = []", "unknown key 'fail-in'; did you mean 'fail-on'?", "unknown-key"),
        (
            "colour = 1",
            "unknown key 'colour'; known: log, fail-on, warn-on, max-missed, max-repeated, allow-incomplete, "
            "exit-zero, verify-every, run, rules",
            "unknown-key",
        ),
        ("run = 1", "run = 1 is a whole number: give a table, [tool.coverage-audit.run]", "bad-setting"),
        ("run.date = 1", "unknown key 'run.date'; did you mean 'data'?", "unknown-key"),
        ("run.data = 1", "run.data = 1 is a whole number: give text in quotes, or a list of such", "bad-setting"),
        ("run.batch-size = 0", "run.batch-size = 0: give a whole number above 0", "bad-setting"),
        ("run.batch-size = -3", "run.batch-size = -3: give a whole number above 0", "bad-setting"),
        ('run.verify-every = "a"', "run.verify-every = 'a' is text: give a whole number above 0", "bad-setting"),
        ("run.per = 'epochs'", "run.per = 'epochs' is unknown; did you mean 'epoch'?", "bad-setting"),
        (
            "run.contract = 'none'",
            "run.contract = 'none' is unknown; known: exactly-once, at-least-once, padded, drop-remainder, "
            "with-replacement, subset",
            "bad-setting",
        ),
        ('max-missed = "3"', "max-missed = '3' is text: give a whole number, 0 or more", "bad-setting"),
        ("max-missed = -1", "max-missed = -1: give a whole number, 0 or more", "bad-setting"),
        ("max-missed = true", "max-missed = True is a true/false value: give a whole number, 0 or more", "bad-setting"),
        ("exit-zero = 1", "exit-zero = 1 is a whole number: give true or false", "bad-setting"),
        (
            'fail-on = "CA201"',
            "fail-on = 'CA201' is text: give a list of rule codes or names, such as [\"CA201\"]",
            "bad-setting",
        ),
        ("log = ''", "log = '' is text: give a path in quotes", "bad-setting"),
        (
            "rules = 3",
            "rules = 3 is a whole number: give tables such as [tool.coverage-audit.rules.CA202]",
            "bad-setting",
        ),
        ("rules.CA202 = 3", "rules.CA202 = 3 is a whole number: give a table of settings", "bad-setting"),
        ("[rules.short-epoch]", "rules.short-epoch is no rule code: write it as in CA202", "unknown-key"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str, slug: str) -> None:
    assert refusal(tmp_path, text) == f"FILE: {message} [{slug}]"


def test_broken_toml(tmp_path: Path) -> None:
    assert refusal(tmp_path, "max-missed =").startswith("FILE is not valid TOML (Invalid value (at end of document))")
