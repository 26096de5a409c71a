"""How the rows of a DataLoader are known: as the user says, by its indices, or where its batches are made."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.adapters.keras_dataloader import LoaderFeed
from coverage_audit.adapters.tellers import Telling, teller_for
from coverage_audit.adapters.torch_collate import puts_others
from coverage_audit.adapters.torch_inband import Looker
from coverage_audit.adapters.torch_memory import MemoryOrder
from coverage_audit.adapters.torch_order import FileOrder
from coverage_audit.adapters.torch_rows import Positions, positions_of
from coverage_audit.adapters.torch_standin import can_stand_in
from coverage_audit.adapters.torch_substitutes import substitutes_of
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import BatchRows
from coverage_audit.model.rows import Ints
from coverage_audit.recorder.stream import Stream
from coverage_audit.sources.files import WITHOUT_ARRAYS

_HANDING_ON = frozenset(("torch", "torchdata", "accelerate", "streaming", "litdata"))
"""Whose loaders give a loop what their iterators give, or have an adapter that knows better."""

_ANOTHER = "may give another sample than the one that it was asked for"


@dataclass(slots=True, eq=False)
class Plan:
    """How the rows of one loader are known. ``telling``: of the samples of an iterable dataset. ``batched``: whether an
    index is a list of positions. ``verify_every``: one batch in so many is held against what its arrays say themselves,
    and against ``files`` or ``memory``. ``reason``: why indices say nothing, where a dataset that could know does not.
    ``unseen``: why it is not known which batches reach the loop; None where all do. ``feed``: tells which iterations
    Keras takes; None where that cannot be. ``asks_itself``: where a dataset asks itself for other samples, so that
    these are told where they are made; None where none does.
    """

    stream: Stream
    telling: Telling | None = None
    batched: bool = True
    files: FileOrder | None = None
    memory: MemoryOrder | None = None
    verify_every: int = 64
    reason: str | None = None
    unseen: str | None = None
    feed: LoaderFeed | None = None
    asks_itself: str | None = None
    asked: int = 0
    demoted: bool = False
    """Positions were found to be other rows."""
    muted: bool = False
    """What is pulled now is no iteration of the data: a trainer looks whether its loop works."""
    judged: dict[int, tuple[type, str | None, str | None]] = field(default_factory=dict)
    """By the ids of datasets: their class, where they may give another sample, and where they ask themselves."""

    def held_by(self, leaf: npt.NDArray[Any]) -> Ints | None:
        """The rows that one array of a batch holds; None where it does not say."""
        told = self.stream.identify(leaf)[1]
        return ids_of(told.rows, self.stream) if isinstance(told, Identified) else None


def plan_of(loader: Any, stream: Stream) -> tuple[Plan, Looker | None]:
    """The plan, and what looks into batches where they are made; None where that is not needed."""
    plan = Plan(stream, batched=loader.batch_sampler is not None)
    way = _all_ways(stream)
    if way is None or way.made_of is None:
        return plan, None
    plan.unseen = own_iteration(loader)
    if plan.unseen is not None:
        return plan, None
    dataset, plan.verify_every, _ = way.made_of
    positions = positions_now(loader, plan)
    if isinstance(positions, str):
        plan.reason = positions
    elif positions is None:
        told = teller_for(loader.dataset, dataset) if is_iterable(loader) else None
        plan.telling, plan.reason = (None, told) if isinstance(told, str) else (told, None)
    if isinstance(positions, Positions) and dataset.held is not None:
        plan.memory = MemoryOrder(dataset, dataset.held, plan.held_by)
    if all(path is None or path.name.endswith(WITHOUT_ARRAYS) for path in dataset.paths):
        return plan, None  # nothing that could be found in a batch
    if isinstance(positions, Positions):
        plan.files = FileOrder(dataset)
        return plan, None
    return plan, Looker(way, *way.made_of)


def _all_ways(stream: Stream) -> Ladder | None:
    """The ladder, where the user leaves it to us how rows are known and says what the data is."""
    way = stream.way
    asked = isinstance(way, Ladder) and way.made_of is not None and stream.split.shards is not None
    return way if asked and isinstance(way, Ladder) else None


def positions_now(loader: Any, plan: Plan) -> Positions | str | None:
    """What positions in the loader's dataset are now, see :func:`positions_of`; a sentence where samples may be others
    than those at the positions that were asked for."""
    way, shards = _all_ways(plan.stream), plan.stream.split.shards
    if way is None or way.made_of is None or shards is None or is_iterable(loader):
        return None
    positions = positions_of(loader.dataset, shards.n_ids, way.made_of[0])
    if not isinstance(positions, Positions):
        return positions
    plan.asks_itself = None
    for base, places in positions.bases:
        if not isinstance(places, range):
            continue  # of a framework that knows what it gives
        another, asks_itself = _judge(base, plan)
        plan.asks_itself = plan.asks_itself or asks_itself
        if another is not None:
            return f"{another} {_ANOTHER}"
    where = puts_others(loader.collate_fn, [loader.dataset, *(base for base, _ in positions.bases)])
    return positions if where is None else f"{where} may put other samples in place of those that it was given"


def _judge(dataset: Any, plan: Plan) -> tuple[str | None, str | None]:
    """Where a dataset may give another sample and nothing tells which, and where it asks itself for one."""
    known = plan.judged.get(id(dataset))
    if known is None or known[0] is not type(dataset):
        found = [substitutes_of(dataset)]
        if hasattr(type(dataset), "__getitems__"):
            found.append(substitutes_of(dataset, together=True))
        another = next((one.loads for one in found if one.loads is not None), None)
        asks_itself = next((one.asks_itself for one in found if one.asks_itself is not None), None)
        reached = [source for one in found for source in one.reaches]
        if another is None and asks_itself is not None and not can_stand_in(dataset, reached):
            another = asks_itself
        known = plan.judged[id(dataset)] = (type(dataset), another, asks_itself)
    return known[1:]


def ids_of(rows: Answer, stream: Stream) -> Ints | None:
    """Sample ids; None where they cannot be compared with positions."""
    shards = stream.split.shards
    if isinstance(rows, Unknown | BatchRows) or shards is None:
        return None
    if isinstance(rows, Run):
        first = rows.row + (int(shards.offsets[rows.shard]) if rows.shard >= 0 else 0)
        return np.arange(first, first + rows.length, dtype=np.int64)
    return rows


def is_iterable(loader: Any) -> bool:
    """Whether its dataset is one that is iterated."""
    return isinstance(loader.dataset, sys.modules["torch"].utils.data.IterableDataset)


def own_iteration(loader: Any) -> str | None:
    """Why it is not known which batches the loop gets of those that torch makes; None where it gets all of them."""
    owner = next(kind for kind in type(loader).__mro__ if "__iter__" in vars(kind))
    if owner.__module__.partition(".")[0] in _HANDING_ON:
        return None
    return f"{owner.__name__} has an __iter__ of its own, which may give the loop others than the batches of its loader"


def drops_nothing(loader: Any) -> bool:
    """Whether torch alone makes the batches: one sample for each position, all of them together."""
    data: Any = sys.modules["torch"].utils.data
    if loader.batch_sampler is None or loader.collate_fn is not data.default_collate:
        return False
    dataset = loader.dataset
    while type(dataset) is data.Subset:  # it asks as it is asked
        dataset = dataset.dataset
    return not hasattr(dataset, "__getitems__")
