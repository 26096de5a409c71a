"""MosaicML's StreamingDataset in a torch DataLoader, or in its StreamingDataLoader: samples are told by their ids.

::

    dataset = streaming.StreamingDataset(local="shards", shuffle=True, batch_size=32)
    loader = ca.wrap(
        streaming.StreamingDataLoader(dataset, batch_size=32, num_workers=2),
        ca.Dataset.of(dataset.size),
    )

A sample id is a position in the shards of all streams, laid end to end as their index files list them: 0 to ``size``.
``len(dataset)`` is another number where there are several ranks, or an ``epoch_size``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.adapters.asked_items import AskedItems, asks_itself
from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.tellers import Telling
from coverage_audit.identity.batches import Answer, Unknown
from coverage_audit.recorder.writer import warn

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset


def teller(dataset: Any, declared: Dataset | None) -> Telling | None:
    """For a StreamingDataset that chooses its samples as MosaicML wrote it."""
    kind = loaded("streaming", "StreamingDataset")
    if kind is None or not issubclass(type(dataset), kind) or not asks_itself(dataset, kind, "__iter__"):
        return None
    return Telling(AskedItems(sample_id), rows_among(int(dataset.size), declared), goes_on=_goes_on)


def _goes_on(loader: Any) -> bool:
    """Whether ``load_state_dict`` was called for the epoch that begins, and not at its first sample.

    What the dataset works out for itself in answering is for the process that iterates; here it is put back.
    """
    dataset = loader.dataset
    before = dict(vars(dataset))
    try:
        _, samples = dataset._resume(dataset._parallel_rank_world, dataset.next_epoch)
    except (AttributeError, TypeError, ValueError) as error:
        warn(f"this version of MosaicML Streaming does not say where it resumes ({error}): no pass is told")
        return True
    finally:
        vars(dataset).update(before)
    return bool(samples > 0)


def sample_id(_dataset: Any, index: Any) -> int | None:
    """The tag of a sample: what the dataset was asked for, if that is one sample."""
    return int(index) if isinstance(index, int | np.integer) and index >= 0 else None


def rows_among(samples: int, declared: Dataset | None) -> Callable[[Sequence[Any]], Answer]:
    """Sample ids are rows, if ``samples``, the number of samples of the stream, is the number of rows declared."""

    def rows(tags: Sequence[Any]) -> Answer:
        if declared is not None and declared.shards.n_ids != samples:
            return Unknown(
                len(tags),
                f"the streaming dataset has {samples} samples and the declared data {declared.shards.n_ids} rows",
            )
        if any(tag is None for tag in tags):
            return Unknown(len(tags), "the dataset does not say which samples these are")
        return np.array(tags, np.int64)

    return rows
