"""A recorded DataLoader that Keras iterates: whose iteration each is, told by the frames that ask for its first batch.

The loader stays the very object it was, and its iterators tell what they hand out
(:mod:`~coverage_audit.adapters.torch_watch`). Keras makes more iterators than its loops use: some to learn shapes, some
to build the model. What these give is nobody's, and not recorded. On torch the loop asks the loader itself; elsewhere a
generator of the adapter does.
"""

from __future__ import annotations

import sys
import types
import weakref
from dataclasses import dataclass
from typing import Any

from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.adapters.keras import builds_a_model, callback_of
from coverage_audit.recorder.stream import Stream

_ADAPTER = "keras.src.trainers.data_adapters.torch_data_loader_adapter"
_EPOCHS = "keras.src.trainers.epoch_iterator"


@dataclass(frozen=True, slots=True)
class Taker:
    """Who takes an iteration: an adapter of Keras. ``length``: how many batches it means to take, None if unknown.

    ``aside``: what is taken is not to be recorded.
    """

    adapter: Any
    length: int | None = None
    aside: bool = False


class LoaderFeed(Feed):
    """For the life of a recorded loader, which it does not prolong. ``sized``: its length is that of its iterations.
    ``unseen``: why its batches may be others than those that reach Keras."""

    def __init__(self, loader: Any, stream: Stream, *, sized: bool, unseen: str | None) -> None:
        self._loader = weakref.ref(loader)
        self._sized = sized
        self._unseen = unseen
        super().__init__(loader, stream, standing=True)

    @property
    def data(self) -> Any:
        return self._loader()

    @data.setter
    def data(self, loader: Any) -> None:
        self._loader = weakref.ref(loader)

    def feeds(self, adapter: Any) -> bool:
        loader = self._loader()
        return loader is not None and getattr(adapter, "_dataloader", None) is loader

    def cannot_follow(self, adapter: Any) -> str | None:
        del adapter
        return self._unseen

    def callback(self) -> Any:
        """A Keras callback for the log of this loader; imports Keras."""
        return callback_of(self.stream.writer)

    def taker(self) -> Taker | None:
        """Who asks for a batch now; None where it is not Keras for one of its loops."""
        if _ADAPTER not in sys.modules:
            return None
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            module = frame.f_globals.get("__name__")
            if module in (_ADAPTER, _EPOCHS):
                asker = frame.f_locals.get("self")
                adapter: Any = getattr(asker, "data_adapter", None) if module == _EPOCHS else asker
                if self.feeds(adapter):
                    looks = frame.f_code.co_name == "get_tf_dataset" or builds_a_model()
                    length = adapter.num_batches if self._sized else None
                    return Taker(adapter, length, aside=looks or not self.records(adapter))
            frame = frame.f_back
        return None


def feed_of(loader: Any, stream: Stream, *, sized: bool, unseen: str | None) -> LoaderFeed:
    """The feed of a loader that is recorded from now on; whoever asks for it keeps it alive."""
    feed = LoaderFeed(loader, stream, sized=sized, unseen=unseen)
    FEEDS.add(feed)
    return feed
