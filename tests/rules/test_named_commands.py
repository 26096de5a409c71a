"""What rules tell people to type exists: commands and their options, functions and methods."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import coverage_audit as ca
import coverage_audit.rules
from coverage_audit.cli.main import main

SOURCES = {path.stem: path.read_text() for path in sorted(Path(coverage_audit.rules.__path__[0]).glob("*.py"))}
CONTEXT = click.Context(main)
COMMANDS = {name: main.get_command(CONTEXT, name) for name in main.list_commands(CONTEXT)}


def options_of(command: str) -> set[str]:
    made = COMMANDS[command]
    assert made is not None
    return {option for parameter in made.params for option in parameter.opts}


@pytest.mark.parametrize("source", SOURCES)
def test_commands_exist(source: str) -> None:
    assert set(re.findall(r"`coverage-audit ([a-z]+)", SOURCES[source])) <= set(COMMANDS)


@pytest.mark.parametrize("source", SOURCES)
def test_options_exist(source: str) -> None:
    every = {option for command in COMMANDS for option in options_of(command)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", SOURCES[source])) <= every


@pytest.mark.parametrize("source", SOURCES)
def test_options_named_with_their_command_are_of_that_command(source: str) -> None:
    for command, rest in re.findall(r"`coverage-audit ([a-z]+)([^`]*)`", SOURCES[source]):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)) <= options_of(command)


@pytest.mark.parametrize("source", SOURCES)
def test_names_of_the_package_exist(source: str) -> None:
    owners = {
        "ca": ca,
        "Dataset": ca.Dataset,
        "Recorder": ca.Recorder,
        "recorder": ca.Recorder,
        "result": ca.AuditResult,
    }
    for owner, name in re.findall(
        r"\b(ca|Dataset|Recorder|recorder|result)\.([a-z_]+|Dataset|Contract)\(", SOURCES[source]
    ):
        assert hasattr(owners[owner], name), f"{owner}.{name}"
