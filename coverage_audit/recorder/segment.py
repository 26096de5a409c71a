"""What one process counts for one split: yields, iterations, and the iterations still of interest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from coverage_audit.errors import UsageError
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.recorder.flight import Flight


@dataclass(slots=True, eq=False)
class Segment:
    """One ``iter()`` of a loader, from its opening to its end.

    ``number``: ordinal in its split. ``pass_``: ordinal of the pass where ``iter()`` begins the data anew, else -1.
    ``opened_at``: ordinal of the opening among all splits of the process. ``peek``: the segment of the batches that
    the trainer peeked at and replays before this one; its own number if this is that segment; None where nothing tells.
    ``prompt``: each batch is yielded when a step asks for it, none ahead.
    """

    number: int
    pass_: int = -1
    opened_at: int = 0
    peek: int | None = None
    yields: int = 0
    ended: str | None = None
    prompt: bool = False

    @property
    def is_peek(self) -> bool:
        return self.peek == self.number

    @property
    def is_stream(self) -> bool:
        """A trainer took this up itself, to replay its peeked batches and go on."""
        return self.peek is not None and self.peek != self.number


@dataclass(slots=True, eq=False)
class Split:
    """A split of this process. ``index`` is its place in the writer's declaration."""

    index: int
    info: SplitInfo
    shards: Shards | None
    batches: int = 0
    consumed: int = 0
    segments: int = 0
    passes: int = 0
    in_fit: bool = False
    closed: bool = False
    reasons: set[str] = field(default_factory=set)
    last: Segment | None = None
    last_peek: Segment | None = None
    flight: Flight = field(default_factory=Flight)
    streams: list[Segment] = field(default_factory=list)
    """The segments that replay the batches of the last peek, in order."""
    _peek_of: dict[int, Segment] = field(default_factory=dict)

    def join(self, info: SplitInfo) -> None:
        """Another loader or recorder of this split: what it declares newly counts from here on.

        Raises :class:`UsageError` (other-dataset) if it is of other data.
        """
        old = self.info
        if (old.fingerprint, old.selected) != (info.fingerprint, info.selected):
            raise UsageError(
                f"split {info.name!r} is already recorded against another dataset in this process: give the same "
                "dataset, or another split=",
                slug="other-dataset",
            )
        self.info = replace(
            old,
            contract=info.contract if info.contract.explicit else old.contract,
            batch_size=old.batch_size if info.batch_size is None else info.batch_size,
            steps_per_epoch=old.steps_per_epoch if info.steps_per_epoch is None else info.steps_per_epoch,
            epochs=old.epochs if info.epochs is None else info.epochs,
        )
        self.closed = False

    def open(
        self, opened_at: int, *, told_pass: bool, pass_: int, owner: int | None = None, is_peek: bool = False
    ) -> Segment:
        """Count one more ``iter()``.

        ``owner`` is what asked for it, where that can be told (the ``id`` of a trainer's adapter, which peeks once and
        then takes up its streams); ``is_peek``: this is its peek.
        """
        number = self.segments
        peek = None
        if is_peek:
            peek = number
        elif owner is not None and owner in self._peek_of:
            peek = self._peek_of[owner].number
        segment = Segment(number, self.passes if told_pass else pass_, opened_at, peek)
        self.segments += 1
        self.passes += told_pass
        self.last = segment
        if is_peek:
            if owner is not None:
                self._peek_of[owner] = segment
            self.last_peek = segment
            self.streams = []
            self.flight.begin()
        elif self.last_peek is not None and peek in (None, self.last_peek.number):
            if self.streams:
                self.flight.replay()
            self.streams.append(segment)
        return segment

    def peek_by(self, owner: int) -> Segment | None:
        """What ``owner`` peeked at, None if that was nothing of this split."""
        return self._peek_of.get(owner)
