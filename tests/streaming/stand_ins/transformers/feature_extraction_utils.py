"""StreamingDataLoader counts the samples of such a batch by its own key; no batch here is one."""

from typing import Any


class BatchFeature(dict[str, Any]):
    pass
