"""The contract of wrapped tf.data datasets and PyDatasets, in a process that may import TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_runs import keeps_contract

CONTRACT = Path(__file__).with_name("tf_data_contract.py")


@pytest.mark.timeout(300)
def test_the_contract_is_kept() -> None:
    keeps_contract(CONTRACT, KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
