"""What the rules about order share: which passes they judge, and which of them shuffle nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from coverage_audit.counts.order import Order
from coverage_audit.counts.tables import SplitCounts

CHANCE = 1e-6
"""How probable an order may be under uniform shuffles before it is taken for chance."""
FEW_FILES = 1e-2
"""The same for the order of files whose rows are not shuffled: a few passes over a few of them must do."""
RUNS = 0.5
"""Share of neighbours one place apart from which rows come in runs."""
NOT_TRAINING = ("val", "test", "eval", "dev")


def in_training(counts: SplitCounts) -> bool:
    """Whether the split is trained on: data that is only evaluated may come in any order."""
    return not counts.evaluation and not counts.split.lower().startswith(NOT_TRAINING)


def judged_orders(counts: SplitCounts) -> list[list[Order]]:
    """The passes of each writer whose boundaries are known and that visit two rows at least; training only."""
    if not in_training(counts):
        return []
    streams: dict[int, list[Order]] = {}
    for order in counts.orders:
        if order.pass_from != "unknown" and order.pairs:
            streams.setdefault(order.stream, []).append(order)
    return list(streams.values())


def beyond_chance(logarithms: Sequence[float], limit: float = CHANCE) -> bool:
    """Whether independent events of these probabilities (natural logarithms) are too improbable together."""
    return sum(logarithms) < math.log(limit)


def log_orders(order: Order) -> float:
    """ln of the number of orders a shuffle of this pass may take, walks of equal length."""
    return order.walks * math.lgamma(order.visits / order.walks + 1)


def is_stored(order: Order) -> bool:
    """Whether each walk goes through the places in ascending order, or begins anew once in the middle of a shard."""
    return order.descents == 0 or (order.descents <= order.walks and not (order.switches and is_unmixed(order)))


def is_sequential_by_shard(order: Order) -> bool:
    """Whether the rows of each shard come together and in ascending order, the shards in any."""
    return is_unmixed(order) and order.switches is not None and order.descents <= order.switches


def is_unmixed(order: Order) -> bool:
    """Whether the rows of each shard come together."""
    return order.switches is not None and order.shards is not None and order.switches <= order.shards - order.walks


def alike(orders: Sequence[Order]) -> list[Order]:
    """The largest group of passes that visit the same rows in the same order; empty if no two do."""
    (key, times), *_ = Counter(_key(o) for o in orders).most_common(1)
    return [o for o in orders if _key(o) == key] if times > 1 else []


def _key(order: Order) -> tuple[int, int, int]:
    return order.visits, order.order_hash, order.rows_hash


def by_chance_alike(same: Sequence[Order], orders: Sequence[Order], limit: float = CHANCE) -> bool:
    """Whether so many of a writer's passes may well have the same order although each is shuffled anew."""
    ways = min(_log_shuffles(o, orders) for o in same)
    return not beyond_chance([math.log(math.comb(len(orders), len(same))), -(len(same) - 1) * ways], limit)


def _log_shuffles(order: Order, orders: Sequence[Order]) -> float:
    """ln of the number of orders this shuffle can give: it may move whole runs of rows, or whole batches, only."""
    pieces = order.visits
    if order.consecutive >= RUNS * order.pairs:  # fewer neighbours than that are what a shuffle of rows leaves
        pieces -= order.consecutive
    if any(o.batches.sums == order.batches.sums and o.order_hash != order.order_hash for o in orders):
        pieces = min(pieces, order.batches.n)
    return order.walks * math.lgamma(pieces / order.walks + 1)


def unshuffled(orders: Sequence[Order], limit: float = CHANCE) -> str:
    """How one writer's passes go through the data without a shuffle of any kind, "" if they do not.

    "stored": in storage order. "files": file by file, always in the same other order. "runs": in runs of consecutive
    rows that always come in the same order.
    """
    stored = [o for o in orders if is_stored(o)]
    if len(stored) == len(orders):
        # One of n! orders has no descent, fewer than 2^n have at most one.
        rotated = any(o.descents for o in orders)
        chances = [min((o.visits * math.log(2) if rotated else 0.0) - log_orders(o), 0.0) for o in orders]
        return "stored" if beyond_chance(chances, limit) else ""
    same = alike(orders)
    if len(same) < 2 or 2 * len(same) <= len(orders) or by_chance_alike(same, orders, FEW_FILES):
        return ""
    if is_sequential_by_shard(same[0]):
        return "files"
    return "runs" if same[0].share_consecutive > RUNS else ""
