"""The contract of adapters, for loaders of MosaicML Streaming: run by test_mosaic_streaming.py.

``STREAMING_FOLDER``: the shards, as streaming_scenarios.py makes them.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import streaming
import torch

from coverage_audit.testing.adapter_contract import AdapterContract

FOLDER = os.environ["STREAMING_FOLDER"]


class TestTorchsLoader(AdapterContract):
    rows = 61

    def make_dataset(self) -> Any:
        streaming.base.util.clean_stale_shared_memory()
        streams = [streaming.Stream(local=f"{FOLDER}/{part}") for part in ("a", "b")]
        return streaming.StreamingDataset(streams=streams, shuffle=True, shuffle_seed=5, batch_size=4)

    def make_loader(self) -> Any:
        return torch.utils.data.DataLoader(self.make_dataset(), batch_size=4)

    def rows_in(self, batch: Any) -> list[int]:
        return [int(x) - 1000 for x in batch["x"]]


# A copy of such a loader that fails half made has nothing of what its __del__ asks for.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*StreamingDataLoader.__del__")
class TestItsOwnLoader(TestTorchsLoader):
    def make_loader(self) -> Any:
        return streaming.StreamingDataLoader(self.make_dataset(), batch_size=4)
