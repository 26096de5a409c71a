"""The order in which one pass of one writer visits its rows, in numbers that a uniform shuffle makes predictable.

The *place* of an expected row is its number among the expected rows, in storage order. Batches of several loader
workers interleave, so each worker's visits are a *walk* of their own; the sums of the walks add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coverage_audit.counts import uniform
from coverage_audit.counts.batch_hashes import Batches
from coverage_audit.counts.uniform import Null
from coverage_audit.counts.walk import MAX_SHARDS, WORD, Scratch, ShardNumbers, Walk, factor
from coverage_audit.model.rows import Ints, Mask


@dataclass(frozen=True, slots=True)
class Order:
    """One pass of one writer.

    ``stream``: the writer's number among those of the split. ``visits``, over all walks; ``pairs``: consecutive visits
    of one walk. Of the pairs: ``consecutive`` go one place on, ``descents`` go back, ``gaps`` is the sum of their
    distances. ``switches`` go to another shard, ``shards`` is how many shards each walk visits, summed up, and
    ``unmixed`` the logarithm of the chance that a uniform shuffle of what each walk visits leaves no more switches than
    one after each shard: all None where there is one shard, or too many to count. ``same_shard``: expected pairs inside
    one shard. ``spread``: mean distance of two places of one walk, which a uniform shuffle makes the mean distance of
    neighbours. ``displacement``: sum of the distances of place and position; ``lead``: the largest place - position,
    counted from the lowest place. Both are None for several walks. ``correlation``: of position and place within the
    walks, 0 where either does not vary. ``extent``: places from the lowest to the highest. ``first``: place of the
    first visit.

    ``order_hash``: of the places in order, ``rows_hash``: in any order, ``batches``: of the batches in any order.
    """

    rank: int
    stream: int
    pass_: int
    pass_from: str
    visits: int
    walks: int
    pairs: int
    consecutive: int
    descents: int
    gaps: int
    spread: float
    displacement: int | None
    lead: int | None
    extent: int
    correlation: float
    switches: int | None
    shards: int | None
    same_shard: Null | None
    unmixed: float | None
    first: int
    order_hash: int
    batches: Batches = field(default_factory=Batches)

    @property
    def rows_hash(self) -> int:
        return self.batches.rows

    @property
    def locality(self) -> float:
        """Mean distance of neighbours over that of any two visits: about 1 under a uniform shuffle, 0 if local."""
        return self.gaps / self.pairs / self.spread if self.pairs and self.spread > 0 else 1.0

    @property
    def z_correlation(self) -> float:
        return uniform.correlation(self.pairs + 1).z(self.correlation) if self.pairs else 0.0

    @property
    def share_consecutive(self) -> float:
        return self.consecutive / self.pairs if self.pairs else 0.0

    @property
    def share_same_shard(self) -> float | None:
        return None if self.switches is None or not self.pairs else 1 - self.switches / self.pairs


class OrderTally:
    """The walks of a pass that is being counted."""

    def __init__(self, n_places: int, n_shards: int, scratch: Scratch) -> None:
        self._n_places = n_places
        self._n_shards = n_shards
        self._scratch = scratch
        self._walks: dict[int, Walk] = {}

    def add(
        self, places: Ints, shards: ShardNumbers | None, workers: npt.NDArray[np.int32], offset: Ints, start: int
    ) -> None:
        """Visit ``places``; ``shards`` are theirs.

        The batches of ``workers`` (per batch, one at least) begin and end at ``offset`` (len + 1), counted from
        ``start`` visits before the first place.
        """
        if (workers == workers[0]).all():
            self._walk(int(workers[0])).add(places, shards)
            return
        edges = np.clip(offset - start, 0, len(places))
        of_visit = np.repeat(workers, np.diff(edges))
        for worker in np.unique(of_visit).tolist():
            mine: Mask = of_visit == worker
            self._walk(worker).add(places[mine], None if shards is None else shards[mine])

    def _walk(self, worker: int) -> Walk:
        if worker not in self._walks:
            self._walks[worker] = Walk(self._n_places, self._n_shards, self._scratch)
        return self._walks[worker]

    def finish(self, rank: int, stream: int, pass_: int, batches: Batches) -> Order:
        """The statistics. ``pass_from`` is for whoever knows."""
        walks = [self._walks[key] for key in sorted(self._walks)]
        alone = walks[0] if len(walks) == 1 else None
        sharded = 1 < self._n_shards <= MAX_SHARDS
        visited = [w.in_shard[w.in_shard > 0] for w in walks if w.in_shard is not None]
        hashed = 0
        for index, walk in enumerate(walks):
            hashed = (hashed + factor(index + 1) * walk.order_hash) & WORD if len(walks) > 1 else walk.order_hash
        return Order(
            rank=rank,
            stream=stream,
            pass_=pass_,
            pass_from="unknown",
            visits=sum(w.n for w in walks),
            walks=len(walks),
            pairs=sum(w.n - 1 for w in walks),
            consecutive=sum(w.consecutive for w in walks),
            descents=sum(w.descents for w in walks),
            gaps=sum(w.gaps for w in walks),
            spread=_spread(walks),
            displacement=None if alone is None else alone.displacement,
            lead=None if alone is None else alone.lead - alone.lowest,
            extent=max((w.highest for w in walks), default=-1) + 1 - min((w.lowest for w in walks), default=0),
            correlation=_correlation(walks),
            switches=sum(w.switches for w in walks) if sharded else None,
            shards=sum(len(v) for v in visited) if sharded else None,
            same_shard=_added([uniform.same_shard(v) for v in visited]) if sharded else None,
            unmixed=sum(_chance_unmixed(v) for v in visited) if sharded else None,
            first=walks[0].first if walks else -1,
            order_hash=hashed,
            batches=batches,
        )


def _added(nulls: Sequence[Null]) -> Null:
    return Null(sum(n.mean for n in nulls), math.sqrt(sum(n.sd**2 for n in nulls)))


def _spread(walks: Sequence[Walk]) -> float:
    """Mean distance of two visits of one walk, to a thousandth: distances inside a bin are those of a uniform one."""
    total, weight = 0.0, 0
    for walk in walks:
        if walk.n < 2:
            continue
        after = np.cumsum(walk.bins) / walk.n
        before, rise, width = after - walk.bins / walk.n, walk.bins / walk.n, 1 << walk.shift
        # E|X - Y| = 2 Σ F (1 - F) over the places; inside a bin F rises evenly.
        first = width * before + rise * (width + 1) / 2
        second = width * before**2 + before * rise * (width + 1) + rise**2 * (width + 1) * (2 * width + 1) / (6 * width)
        # of two different visits: n / (n - 1) times as far
        total += 2 * float((first - second).sum()) * walk.n
        weight += walk.n - 1
    return total / weight if weight else 0.0


def _correlation(walks: Sequence[Walk]) -> float:
    """Pearson's r, from sums of squares about each walk's own means. Exact integers up to the last division."""
    product, places, positions = 0.0, 0.0, 0.0
    for w in walks:
        n = w.n
        product += (n * w.position_place - w.total * (n * (n - 1) // 2)) / n
        places += (n * w.squares - w.total**2) / n
        positions += (n**3 - n) / 12
    return product / math.sqrt(places * positions) if places > 0 and positions > 0 else 0.0


def _chance_unmixed(visited: Ints) -> float:
    """ln(S! Π s! / n!): how probable it is that a shuffle leaves the visits of each of S shards together."""
    terms = np.array([math.lgamma(int(s) + 1) for s in visited])
    return math.lgamma(len(visited) + 1) + float(terms.sum()) - math.lgamma(int(visited.sum()) + 1)
