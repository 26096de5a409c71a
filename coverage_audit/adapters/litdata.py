"""LitData's StreamingDataset in its StreamingDataLoader, or in torch's: samples are told by their positions.

::

    dataset = litdata.StreamingDataset("optimized", shuffle=True)
    loader = ca.wrap(
        litdata.StreamingDataLoader(dataset, batch_size=32, num_workers=2),
        ca.Dataset.of(len(dataset)),
    )

A sample's id is the position at which ``dataset[id]`` has it: the chunks of the index file laid end to end, of each
what the dataset was told to take (``subsample``). Which chunk comes when, and in which order its samples do, is seen in
the process that reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coverage_audit.adapters.asked_items import AskedItems, asks_itself
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.streaming import rows_among
from coverage_audit.adapters.tellers import Telling

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset


def teller(dataset: Any, declared: Dataset | None) -> Telling | None:
    """For a StreamingDataset that chooses its samples as LitData wrote it."""
    kind = loaded("litdata", "StreamingDataset")
    if kind is None or not issubclass(type(dataset), kind) or not asks_itself(dataset, kind, "__iter__", "__next__"):
        return None
    # Of this rank or worker alone, len() would be another number.
    samples = sum(int(size) for size in _sizes(dataset))
    return Telling(AskedItems(_Positions()), rows_among(samples, declared), goes_on=_goes_on)


def _goes_on(loader: Any) -> bool:
    """Whether a state was loaded: into LitData's loader, which keeps it until its pass is over, or into the dataset."""
    return bool(getattr(loader, "restore", False) or getattr(loader.dataset, "_state_dict", None))


class _Positions:
    """From an index in a chunk to the position in the dataset; knows the chunks once a sample was read."""

    def __init__(self) -> None:
        self._first: list[int] = []

    def __call__(self, dataset: Any, index: Any) -> int | None:
        """``index``: LitData's ChunkedIndex; its ``index`` counts through all chunks, whether they are taken or not."""
        if not self._first:
            before = 0
            for _, start, stop, _ in dataset.cache.get_chunk_intervals():
                self._first.append(before - start)
                before += stop - start
        first: int = self._first[index.chunk_index]
        return first + int(index.index)


def _sizes(dataset: Any) -> list[int]:
    """Samples that are taken of each chunk."""
    return [stop - start for start, stop in dataset.region_of_interest]
