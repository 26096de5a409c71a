"""The surroundings of processes that train with Keras: started as fast as TensorFlow allows."""

from __future__ import annotations

import os
from pathlib import Path

WITHOUT_PLOTS = Path(__file__).with_name("without_plots")


def keras_environment(backend: str, **more: str) -> dict[str, str]:
    """Variables of a process that records a training by Keras on this backend, as a part of no other run.

    One thread each, as several run at a time. Keras imports pandas and matplotlib where it finds them, which takes a
    third of its start, and nothing that is recorded has to do with them.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_AUDIT")}
    path = os.pathsep.join(filter(None, [str(WITHOUT_PLOTS), ours.get("PYTHONPATH")]))
    quick = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return {**ours, **quick, "KERAS_BACKEND": backend, **more}
