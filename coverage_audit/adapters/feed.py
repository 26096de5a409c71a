"""A loader that Keras iterates by itself, and which loops of ``fit`` and ``evaluate`` do.

Of a generator Keras peeks at two batches and replays them; the others (PyDataset, tf.data, DataLoader) it simply
iterates. So each loop over one of these is told to have peeked at nothing, and each iteration that it then begins is a
stream of that loop, to be consumed to its end before the next. What Keras iterated before the loop began, to build the
model, belongs to no loop: as a rule the loop begins the data anew, and nothing of it is recorded; where it does not,
those batches were yielded and never trained on.

``coverage-audit run`` makes a feed for one call of ``fit`` or ``evaluate``. A wrapped loader has one for its life,
which also records what is iterated outside of any loop that a callback tells of.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from coverage_audit.identity.batches import Answer, Identified
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import Writer, warn

Rows = Answer | Identified


class Feed:
    """``data``: the loader as it was given. ``prompt``: nothing is taken out of it before a step asks for it.

    ``standing``: it is there for the life of the loader, not for one call.
    """

    def __init__(self, data: Any, stream: Stream, *, standing: bool = False) -> None:
        self.data = data
        self.stream = stream
        self.standing = standing
        self.prompt = False
        self._loops: list[Any] = []
        self._refused: list[Any] = []
        self._lost: set[str] = set()

    @property
    def owner(self) -> Any:
        """The adapter whose loop iterates it now, the innermost one; None outside of any loop."""
        return self._loops[-1] if self._loops else None

    def feeds(self, adapter: Any) -> bool:
        """Whether this adapter of Keras iterates the wrapped loader."""
        return getattr(adapter, "py_dataset", None) is self.data

    def cannot_follow(self, adapter: Any) -> str | None:
        """Why the batches that ``adapter`` trains on are not those that are told here; None where they are."""
        del adapter
        return None

    def begin(self, adapter: Any) -> None:
        """A loop over ``adapter`` begins: from here on, what it takes out of the loader is that loop's. Several
        callbacks may say so of one loop."""
        if adapter not in self._loops:
            self._loops.append(adapter)
            self.stream.open(told_pass=False, owner=id(adapter), is_peek=True)

    def over(self, adapter: Any) -> None:
        """The loop is over, for a feed that lives on."""
        self._loops = [loop for loop in self._loops if loop is not adapter]
        self._refused = [loop for loop in self._refused if loop is not adapter]

    def over_all_but(self, adapter: Any) -> None:
        """A fit begins: loops that never ended died by an exception."""
        self._loops = [loop for loop in self._loops if loop is adapter]
        self._refused.clear()

    def refuse(self, adapter: Any) -> None:
        """What a loop over ``adapter`` takes is not to be recorded: it is neither trained on nor of this split."""
        if adapter not in self._refused:
            self._refused.append(adapter)

    def lose(self, why: str = "this version of Keras does not say which loop it is") -> None:
        """A loop over it has begun that cannot be told: its steps stay unrecorded."""
        if why not in self._lost:
            self._lost.add(why)
            warn(f"cannot record this {type(self.data).__name__}: {why}")

    def records(self, adapter: Any) -> bool:
        """Whether an iteration by ``adapter`` is recorded. None: by nobody knows whom."""
        if adapter is None:
            return not self._refused and (self.standing or bool(self._loops))
        return adapter not in self._refused and (self.standing or adapter in self._loops)

    def open(self, *, told_pass: bool, adapter: Any = None) -> Segment:
        """An iteration that gives its first batch now; ``adapter``: whose, the innermost loop's if not told."""
        if adapter is None:
            adapter = self.owner
        elif adapter not in self._loops:
            return self.stream.open(told_pass=told_pass)
        return self.stream.open(told_pass=told_pass, owner=None if adapter is None else id(adapter))

    def follow(
        self,
        batches: Iterator[Any],
        length: int | None,
        adapter: Any = None,
        rows: Callable[[], Rows] | None = None,
    ) -> Iterator[Any]:
        """One iteration, its batches told one by one. ``length``: how many it has, None where nobody knows.

        It counts from its first batch on, since Keras makes iterators that it never uses; and it is over with its last
        batch, since Keras does not ask for more when it knows the length. ``rows``: those of the batch just made, where
        its ids have been taken out already.
        """
        segment: Segment | None = None
        given = 0
        try:
            for batch in batches:
                if segment is None:
                    segment = self.open(told_pass=length is not None, adapter=adapter)
                if rows is None:
                    batch = self.stream.take(segment, batch)  # noqa: PLW2901 - as the training loop is to see it
                else:
                    self.stream.put(segment, lambda: (self.stream.found, rows()))
                given += 1
                if given == length:
                    self.stream.end(segment, "exhausted")
                yield batch
        except GeneratorExit:
            raise
        except BaseException as error:
            self.stream.end(
                self.open(told_pass=False, adapter=adapter) if segment is None else segment, "failed", error
            )
            raise
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        if segment is not None:
            self.stream.end(segment, "exhausted")


class Feeds:
    """The feeds of the calls of ``fit`` and ``evaluate`` that go on now, and those of wrapped loaders that live."""

    def __init__(self) -> None:
        self._feeds: list[Feed] = []
        self._standing: weakref.WeakSet[Feed] = weakref.WeakSet()

    def add(self, feed: Feed) -> None:
        """Its call begins; or its wrapped loader is made, whoever made it keeps it alive."""
        if feed.standing:
            self._standing.add(feed)
        else:
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
        return next((feed for feed in self._standing if feed.data is data), None)

    def wrapped(self, adapter: Any, writer: Writer | None) -> Feed | None:
        """The feed of the wrapped loader that ``adapter`` iterates, if it records with ``writer``."""
        return next((f for f in self._standing if f.stream.writer is writer and f.feeds(adapter)), None)

    def fit_begins(self, writer: Writer, adapter: Any) -> None:
        """Loops of wrapped loaders that never ended died by an exception."""
        for feed in self._standing:
            if feed.stream.writer is writer:
                feed.over_all_but(adapter)

    def over(self, writer: Writer, adapter: Any) -> None:
        """A loop over a wrapped loader is over."""
        feed = self.wrapped(adapter, writer)
        if feed is not None:
            feed.over(adapter)

    def lose(self, writer: Writer) -> None:
        """A loop has begun, and nothing tells over what."""
        for feed in self._standing:
            if feed.stream.writer is writer:
                feed.lose()


FEEDS = Feeds()
"""Those of this process."""
