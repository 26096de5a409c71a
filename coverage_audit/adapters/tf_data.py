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
from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.adapters.keras import callback_of
from coverage_audit.adapters.tf_elements import Element, element_of
from coverage_audit.adapters.tf_feed import DatasetFeed
from coverage_audit.adapters.tf_pipeline import OURS, made_of
from coverage_audit.errors import UsageError
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.stream import Stream


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
    if any(hasattr(part, OURS) for part in made_of(data)):
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


def _hear_iterations() -> None:
    """Know what is iterated of what is made of recorded datasets."""
    kind: Any = loaded("tensorflow", "data.Dataset")
    original = kind.__iter__
    if hasattr(original, OURS):
        return

    @functools.wraps(original)
    def __iter__(self: Any) -> Any:
        for feed in {feed for part in made_of(self) if (feed := getattr(part, OURS, None)) is not None}:
            feed.iterated_by(self)
        return original(self)

    setattr(__iter__, OURS, None)
    kind.__iter__ = __iter__
