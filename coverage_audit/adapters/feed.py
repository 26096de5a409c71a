"""A loader that Keras iterates by itself, for the one call of ``fit`` or ``evaluate`` that it was given to.

Of a generator Keras peeks at two batches and replays them; the others (PyDataset, tf.data, DataLoader) it simply
iterates. So each loop over one of these is told to have peeked at nothing, and each iteration that it then begins is a
stream of that loop, to be consumed to its end before the next. What Keras iterated before the loop began, to build the
model, belongs to no loop: as a rule the loop begins the data anew, and nothing of it is recorded; where it does not,
those batches were yielded and never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import warn


class Feed:
    """``data``: the loader as it was given. ``owner``: the adapter whose loop iterates it, None before the loop.

    ``prompt``: nothing is taken out of it before a step asks for it.
    """

    def __init__(self, data: Any, stream: Stream) -> None:
        self.data = data
        self.stream = stream
        self.owner: Any = None
        self.prompt = False
        self._lost = False

    def begin(self, adapter: Any) -> None:
        """A loop over ``adapter`` begins: from here on, what it takes out of the loader is that loop's."""
        self.owner = adapter
        self.stream.open(told_pass=False, owner=id(adapter), is_peek=True)

    def lose(self) -> None:
        """A loop over it has begun, and nothing tells its adapter: its steps stay unrecorded."""
        if not self._lost:
            self._lost = True
            warn(f"cannot record this {type(self.data).__name__}: this version of Keras does not say which loop it is")

    def open(self, *, told_pass: bool) -> Segment:
        """An iteration that gives its first batch now."""
        owner = None if self.owner is None else id(self.owner)
        return self.stream.open(told_pass=told_pass, owner=owner)

    def follow(self, batches: Iterator[Any], length: int | None) -> Iterator[Any]:
        """One iteration, its batches told one by one. ``length``: how many it has, None where nobody knows.

        It counts from its first batch on, since Keras makes iterators that it never uses; and it is over with its last
        batch, since Keras does not ask for more when it knows the length.
        """
        segment: Segment | None = None
        given = 0
        try:
            for batch in batches:
                if segment is None:
                    segment = self.open(told_pass=length is not None)
                batch = self.stream.take(segment, batch)  # noqa: PLW2901 - as the training loop is to see it
                given += 1
                if given == length:
                    self.stream.end(segment, "exhausted")
                yield batch
        except GeneratorExit:
            raise
        except BaseException as error:
            self.stream.end(self.open(told_pass=False) if segment is None else segment, "failed", error)
            raise
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        if segment is not None:
            self.stream.end(segment, "exhausted")


class Feeds:
    """The feeds of the calls of ``fit`` and ``evaluate`` that go on now."""

    def __init__(self) -> None:
        self._feeds: list[Feed] = []

    def add(self, feed: Feed) -> None:
        """Its call begins."""
        self._feeds = [*self._feeds, feed]

    def remove(self, feed: Feed) -> None:
        """Its call is over."""
        self._feeds = [f for f in self._feeds if f is not feed]

    def of(self, data: Any, adapter: Any = None) -> Feed | None:
        """The feed that an iteration of ``data``, by ``adapter`` where that is known, belongs to."""
        for feed in self._feeds:
            if adapter is not None and feed.owner is adapter:
                return feed
        for feed in self._feeds:
            if feed.data is data and (adapter is None or feed.owner is None):
                return feed
        return None


FEEDS = Feeds()
"""Those of this process."""
