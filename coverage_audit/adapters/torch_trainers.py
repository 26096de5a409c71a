"""The trainers that torch's loaders are given to: those that are imported are followed, each by its own module."""

from __future__ import annotations

import importlib
import sys

_HERE = __name__.rpartition(".")[0]

# (the module that is there when such a trainer can be, our module for it)
_TRAINERS: tuple[tuple[str, str], ...] = (
    ("accelerate.data_loader", "accelerate"),
    ("pytorch_lightning.trainer.call", "lightning"),
    ("lightning.pytorch.trainer.call", "lightning"),
    ("transformers.trainer", "hf_trainer"),
)


def install() -> None:
    """Follow the trainers that are imported by now. Cheap when called again."""
    for framework, module in _TRAINERS:
        if framework in sys.modules:
            importlib.import_module(f"{_HERE}.{module}").install(sys.modules[framework])
