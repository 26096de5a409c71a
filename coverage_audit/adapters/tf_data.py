"""tf.data: a last, sequential step of the dataset shows each batch just before it is delivered.

That step is a ``scan``, whose state belongs to one iterator: it says which iteration a batch is of, and where a new one
begins. tf.data would put a prefetch behind it; an option of the dataset keeps it away, so that nothing is shown ahead
of the loop that takes it, and the prefetch goes before it. Tensors, their static shapes, the structure and the
cardinality stay as they are. Ids that were attached at the source (``enumerate()``, a zip with a range) are taken out
in the same step.

The Python that is called there is declared stateless, since TensorFlow refuses to checkpoint an iterator with any
other; the state of the scan makes sure that it is called once for each batch, in order.
"""

from __future__ import annotations

import functools
import itertools
import secrets
from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import FEEDS, Feed, Rows
from coverage_audit.adapters.keras import builds_a_model, callback_of
from coverage_audit.adapters.tf_elements import Element, element_of
from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import Unknown
from coverage_audit.locks import new_lock
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

_OURS = "_audit_feed"
_INFINITE = -1
_BEHIND = "{}() behind wrap() changes which batches reach the loop: wrap the dataset last"
_FIRST = 1 << 32
"""What of a token says which iterator it is; what is below says how many batches it has shown."""

# What Keras, or a script, may do to a recorded dataset so that its batches still reach the loop one by one, in order;
# and whether each is still shown only when it is asked for.
_IN_ORDER = {
    "_OptionsDataset": True,
    "_TakeDataset": True,
    "_RepeatDataset": True,
    "_MapDataset": True,
    "_AssertCardinalityDataset": True,
    "_PrefetchDataset": False,
    "_ParallelMapDataset": False,
}


def takes(data: Any) -> bool:
    """Whether this is a tf.data.Dataset.

    Raises :class:`UsageError`: unsupported-loader for one that tf.distribute has taken apart, wrapped-twice.
    """
    distributed = loaded("tensorflow", "distribute.DistributedDataset")
    if distributed is not None and isinstance(data, distributed):
        raise UsageError(
            f"a {type(data).__name__} deals the parts of each batch to devices: its batches cannot be recorded; wrap "
            "the tf.data.Dataset and train without a strategy, or tell the rows to a ca.Recorder in a loop of your own",
            slug="unsupported-loader",
        )
    kind = loaded("tensorflow", "data.Dataset")
    if kind is None or not isinstance(data, kind):
        return False
    if any(hasattr(part, _OURS) for part in _made_of(data)):
        raise UsageError("the loader is wrapped already: wrap the original loader once", slug="wrapped-twice")
    return True


def adapt(data: Any, recorder: Recorder) -> Any:
    """A dataset of the same batches, without the ids that ``ids=`` names, with ``recorder`` and ``callback()`` on it.

    Wrap the dataset last, after ``batch()`` and ``shuffle()``; ``take()``, ``repeat()`` and ``prefetch()`` may follow.
    Of a pair (ids, rest) the rest is handed on as it is. A callable for ``ids=`` is traced, or called with eager
    tensors where it cannot be.

    Raises :class:`UsageError` (bad-ids).
    """
    stream = recorder.stream
    try:
        element = element_of(data.element_spec, stream.way)
    except UsageError:
        recorder.close()
        raise
    feed = DatasetFeed(data, stream, element, standing=True)
    recorded = _shown(data, feed) if stream.writer is not None else _bare(data, element)
    recorded.recorder = recorder
    recorded.callback = functools.partial(callback_of, stream.writer)
    recorded._audit_feed = feed
    FEEDS.add(feed)
    _hear_iterations()
    return recorded


def follow(data: Any, stream: Stream) -> tuple[Any, Feed] | str:
    """For one call of ``fit``: a dataset that tells of its batches, and its feed; or why it cannot be followed."""
    try:
        element = element_of(data.element_spec, stream.way)
    except UsageError as error:
        return str(error)
    if element.hidden is not None:
        return element.hidden
    feed = DatasetFeed(data, stream, element)
    feed.prompt = True
    return _shown(data, feed), feed


class DatasetFeed(Feed):
    """What the iterators of one recorded dataset show.

    Each has a token of its own, given to it with its first batch. Where the cardinality is known, so is each one's end.
    A checkpoint of an iterator holds its token, so one that was restored is known by it, also in another process.
    """

    def __init__(self, data: Any, stream: Stream, element: Element, *, standing: bool = False) -> None:
        super().__init__(data, stream, standing=standing)
        self.element = element
        cardinality = int(data.cardinality())
        self.length = cardinality if cardinality >= 0 else None
        self.told_pass = cardinality != _INFINITE and not any(_repeats(part) for part in _made_of(data))
        self.prompt = standing
        self._tokens = itertools.count(1 + secrets.randbits(28))
        self._open: dict[int, _Iteration] = {}
        """By their tokens, the newest last."""
        self._last: _Iteration | None = None
        self._overlap = False
        self._of_loop: _Iteration | None = None
        self._behind: str | None = None
        self._lock = new_lock(self)

    def feeds(self, adapter: Any) -> bool:
        return any(getattr(part, _OURS, None) is self for part in _made_of(getattr(adapter, "_dataset", None)))

    def cannot_follow(self, adapter: Any) -> str | None:
        """What is done to the dataset behind ``wrap()``; also tells whether batches are shown only when asked for."""
        changed, prompt = _changed_behind(adapter._dataset, self)
        if changed is not None:
            return f"{changed}() behind wrap() changes which batches reach the model; wrap the dataset last"
        self.prompt = prompt
        return None

    def iterated_by(self, data: Any) -> None:
        """``data``, made of the recorded dataset, is about to be iterated."""
        try:
            changed, _ = _changed_behind(data, self)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            changed = f"something that is not known ({type(error).__name__})"
        self._behind = None if changed is None else _BEHIND.format(changed)

    def show(self, token: int, tensors: tuple[Any, ...]) -> int:
        """A batch on its way out of the iterator with this token, 0 for one that shows its first. Returns its token
        from then on."""
        which, given = divmod(token, _FIRST)
        with self._lock:
            iteration = self._open.get(which)
            if iteration is None:
                iteration = self._opened(which if which else next(self._tokens), goes_on=which != 0)
            elif which != next(reversed(self._open)):
                self._overlap = True
            self._last = iteration
            segment = iteration.segment
            if segment is not None:
                self._record(segment, tensors, iteration.hidden)
            if given + 1 == self.length:
                self._end(iteration)
            return iteration.token * _FIRST + given + 1

    def end(self) -> None:
        """An iterator of unknown length has no more: the newest one, unless several were used at once."""
        with self._lock:
            last = self._last
            if self._overlap:
                return
            if last is not None and last.token in self._open:
                self._end(last)
            else:  # it never showed any
                segment = self._begin()
                if segment is not None:
                    self.stream.end(segment, "exhausted")

    def begin(self, adapter: Any) -> None:
        super().begin(adapter)
        self._of_loop = None

    def over(self, adapter: Any) -> None:
        super().over(adapter)
        self._of_loop = None

    def _opened(self, token: int, *, goes_on: bool) -> _Iteration:
        """``goes_on``: it was restored from a checkpoint, so it is in the middle of some pass."""
        iteration = self._open[token] = _Iteration(
            token, self._begin(goes_on=goes_on), None if self.owner is not None else self._behind
        )
        if self.owner is not None and iteration.segment is not None:
            self._of_loop = iteration
        return iteration

    def _begin(self, *, goes_on: bool = False) -> Segment | None:
        """Nothing is recorded of what Keras takes to build a model: the loop begins the data anew."""
        if not self.records(None) or (self.standing and builds_a_model()):
            return None
        if self._of_loop is not None and self._of_loop.token in self._open:
            self._end(self._of_loop)  # a take() behind it; a loop takes nothing new before it has used up the old
        segment = self.open(told_pass=self.told_pass and not goes_on)
        segment.prompt = self.prompt
        return segment

    def _record(self, segment: Segment, tensors: tuple[Any, ...], hidden: str | None) -> None:
        element = self.element
        hidden = element.hidden or hidden
        if hidden is not None:
            self.stream.put(segment, lambda: (self.stream.found, Unknown(-1, hidden)))
        elif element.rows is not None:
            self.stream.put(segment, lambda: (self.stream.found, _rows(element, tensors)))
        else:
            self.stream.take(segment, element.packed(tensors))

    def _end(self, iteration: _Iteration) -> None:
        if iteration.segment is not None:
            self.stream.end(iteration.segment, "exhausted")
        del self._open[iteration.token]


class _Iteration:
    """One iterator; ``segment``: None where it is not recorded. ``hidden``: why it is not known what reaches the loop,
    None where all does."""

    __slots__ = ("hidden", "segment", "token")

    def __init__(self, token: int, segment: Segment | None, hidden: str | None) -> None:
        self.token = token
        self.segment = segment
        self.hidden = hidden


def _rows(element: Element, tensors: tuple[Any, ...]) -> Rows:
    assert element.rows is not None
    return element.rows(tensors)


def _shown(data: Any, feed: DatasetFeed) -> Any:
    """The dataset that shows its batches to ``feed``."""
    import tensorflow as tf

    element = feed.element

    def show(token: Any, *tensors: Any) -> Any:
        try:
            return np.int64(feed.show(int(token), tensors))
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            if feed.stream.writer is not None:
                feed.stream.writer.fail(error)
            return np.int64(token)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def pass_on(token: Any, batch: Any) -> Any:
        shown, rest = element.split(batch)
        token = tf.numpy_function(show, [token, *shown], tf.int64, stateful=False)
        token.set_shape(())
        return token, rest

    ahead = data.prefetch(tf.data.AUTOTUNE) if _would_prefetch(data) else data
    if feed.length is None and feed.told_pass:
        ahead = ahead.concatenate(_tail(data, feed))
    return _without_prefetch(ahead.scan(np.int64(0), pass_on))


def _tail(data: Any, feed: DatasetFeed) -> Any:
    """None of the elements of ``data``, and the word that nothing more comes; the cardinality is unknown before and
    behind it."""
    import tensorflow as tf

    def end(_: Any) -> Any:
        try:
            feed.end()
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            if feed.stream.writer is not None:
                feed.stream.writer.fail(error)
        return np.False_

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def is_more(at: Any) -> Any:
        more = tf.numpy_function(end, [at], tf.bool, stateful=False)
        more.set_shape(())
        return more

    # Without a prefetch or a fused filter: asked once, when all else is out.
    return tf.data.Dataset.range(1).filter(is_more).flat_map(lambda _: data)


def _bare(data: Any, element: Element) -> Any:
    """Nothing is recorded; ids are taken out all the same."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def pass_on(*parts: Any) -> Any:
        return element.split(parts if type(data.element_spec) is tuple else parts[0])[1]

    return data.map(pass_on) if element.takes_out else data.with_options(tf.data.Options())


def _would_prefetch(data: Any) -> bool:
    """Whether tf.data itself would make the batches of this dataset ahead of the loop, as it does for any that does not
    end in a prefetch."""
    options = data.options()
    if options.autotune.enabled is False or options.experimental_optimization.inject_prefetch is False:
        return False
    while type(data).__name__ == "_OptionsDataset":
        (data,) = data._inputs()
    return type(data).__name__ != "_PrefetchDataset"


def _without_prefetch(data: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return data.with_options(options)


def _made_of(data: Any) -> list[Any]:
    """The dataset and all that it is made of, as far as that shows."""
    found, todo = [], [data]
    while todo:
        part = todo.pop()
        inputs = getattr(part, "_inputs", None)
        if part is not None:
            found.append(part)
        todo.extend(inputs() if callable(inputs) else ())
    return found


def _changed_behind(data: Any, feed: DatasetFeed) -> tuple[str | None, bool]:
    """What was done to the dataset of ``feed`` to make ``data``, if batches then come otherwise than they are shown;
    and whether each is shown only when it is asked for."""
    prompt, part = True, data
    while getattr(part, _OURS, None) is not feed:
        name, inputs = type(part).__name__, part._inputs()
        is_as_it_comes = getattr(part, "_deterministic", "default") == "false"
        if name not in _IN_ORDER or len(inputs) != 1 or is_as_it_comes:
            return name.removeprefix("_").removesuffix("Dataset").lower(), False
        prompt, part = prompt and _IN_ORDER[name], inputs[0]
    return None, prompt


def _hear_iterations() -> None:
    """Know what is iterated of what is made of recorded datasets."""
    kind: Any = loaded("tensorflow", "data.Dataset")
    original = kind.__iter__
    if hasattr(original, _OURS):
        return

    @functools.wraps(original)
    def __iter__(self: Any) -> Any:
        for feed in {feed for part in _made_of(self) if (feed := getattr(part, _OURS, None)) is not None}:
            feed.iterated_by(self)
        return original(self)

    setattr(__iter__, _OURS, None)
    kind.__iter__ = __iter__


def _repeats(part: Any) -> bool:
    """Whether one iteration goes through the data several times, or nobody knows."""
    import tensorflow as tf

    if type(part).__name__ != "_RepeatDataset":
        return False
    count = tf.get_static_value(getattr(part, "_count", None))
    return count is None or int(count) != 1
