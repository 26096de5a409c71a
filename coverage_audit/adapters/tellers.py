"""How the samples of an iterable dataset say which rows they are, from inside a loader's worker to the process that
trains.

A loader of iterable data (torch's DataLoader, and what is built on it) hands out batches of which only the worker knew
the samples. So the worker notes a *tag* for each sample that it takes, beside the sample and never in it, and the tags
of a batch travel with it. What a tag is, is a matter of the framework: a sample id, a key in a file, several of them
where a sample is a batch already. The process that trains makes rows of them.

A framework's module joins by a line in ``_FRAMEWORKS`` and a function ``teller(dataset, declared)``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from coverage_audit.identity.batches import Answer
from coverage_audit.model.event import Found

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset


class Teller(Protocol):
    """Goes to the workers, pickled where they are spawned: small, and without state of an iteration."""

    def tagged(self, dataset: Any, samples: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """One iteration as (sample, tag): every sample of ``samples`` as it is, in order, each when it is asked for.

        ``samples``: ``iter(dataset)``, not begun; take another iterator where that one cannot say what its samples are,
        if the samples are the same. A tag is picklable and small; None for a sample of which nothing is known. Called
        once per iteration, in the process that iterates. What ``samples`` raises goes through.
        """


@dataclass(frozen=True, slots=True)
class Telling:
    """``teller``: for the workers. ``rows``: in the process that trains, from the tags of the samples of a batch, in
    their order, to its rows; Unknown with the number of samples or rows, and a reason, where they do not say. Must not
    raise for tags of its teller, None among them. ``found``: how those rows are known. ``goes_on``: asked with the
    loader that begins to iterate, whether the dataset then goes on in the middle of a pass, after a restart."""

    teller: Teller
    rows: Callable[[Sequence[Any]], Answer]
    found: Found = Found.EXPLICIT
    goes_on: Callable[[Any], bool] = field(default=lambda _loader: False)


Maker = Callable[[Any, "Dataset | None"], Telling | str | None]
"""``teller(dataset, declared)``: for a dataset of this framework, and the declared data; None for any other. A text:
why its samples do not say which rows they are, and what would help."""


def teller_for(dataset: Any, declared: Dataset | None) -> Telling | str | None:
    """The first that knows what the samples of ``dataset`` are, or why they are unknown; None where none does."""
    for framework, module in _FRAMEWORKS:
        if framework in sys.modules:
            make: Maker = importlib.import_module(f"{_HERE}.{module}").teller
            telling = make(dataset, declared)
            if telling is not None:
                return telling
    return None


_HERE = __name__.rpartition(".")[0]

# (the module that is there when such a dataset can be, our module for it), as in adapters.choice.
_FRAMEWORKS: tuple[tuple[str, str], ...] = (
    ("datasets", "huggingface"),
    ("webdataset", "webdataset"),
    ("streaming", "streaming"),
    ("litdata", "litdata"),
)
