"""Scripts of Keras scenarios, each run in one process per backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from keras_processes import keras_environment
from scenario_runs import names_in, run

BACKENDS = ("tensorflow", "torch")
Case = tuple[str, str]


def cases_of(script: Path) -> list[Case]:
    """(backend, scenario): those of TensorFlow alone, too."""
    both, tensorflow = names_in(script, "SCENARIOS"), names_in(script, "ONLY_TF")
    return [("tensorflow", name) for name in (*both, *tensorflow)] + [("torch", name) for name in both]


def folders_of(
    script: Path, temporary: pytest.TempPathFactory, parts: Callable[[str], list[list[str]]] = lambda backend: [[]]
) -> Callable[[str], Path]:
    """From a backend to the folder where the script has run. ``parts``: scenarios by processes; no names for all."""

    @cache
    def folder_of(backend: str) -> Path:
        folder = temporary.mktemp(backend)
        for names in parts(backend):
            run(script, folder, *names, **keras_environment(backend))
        return folder

    return folder_of
