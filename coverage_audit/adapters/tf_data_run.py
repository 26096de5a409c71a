"""tf.data datasets given to Keras: a last, sequential map shows each batch just before the training step takes it.

tf.data would put a prefetch behind the map; an option of this dataset keeps it away, so that nothing is shown ahead of
the step that takes it. Tensors, their static shapes, the structure and the cardinality stay as they are.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import Feed
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream


def takes(data: Any) -> bool:
    """Whether this is a tf.data.Dataset (a distributed one is none)."""
    kind = loaded("tensorflow", "data.Dataset")
    return kind is not None and isinstance(data, kind)


def follow(data: Any, stream: Stream) -> tuple[Any, Feed] | str:
    """A dataset that tells of its batches, and its feed; or why it cannot be followed."""
    import tensorflow as tf

    specs = tf.nest.flatten(data.element_spec)
    if not all(isinstance(spec, tf.TensorSpec) for spec in specs):
        kinds = sorted({type(spec).__name__.removesuffix("Spec") for spec in specs if type(spec) is not tf.TensorSpec})
        return f"its batches hold {' and '.join(kinds)}, not only tensors"
    shown = [at for at, spec in enumerate(specs) if spec.dtype.is_numpy_compatible and spec.dtype != tf.string]
    if not shown:
        return "its batches hold no numbers"
    length = int(data.cardinality())
    feed = _DatasetFeed(data, stream, length if length >= 0 else None)

    def show(*tensors: Any) -> Any:
        feed.show(tensors)
        return np.int32(0)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def pass_on(*parts: Any) -> Any:
        batch = parts if type(data.element_spec) is tuple else parts[0]
        tensors = tf.nest.flatten(batch)
        with tf.control_dependencies([tf.numpy_function(show, [tensors[at] for at in shown], tf.int32)]):
            return tf.nest.map_structure(tf.identity, batch)

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return data.map(pass_on).with_options(options), feed


class _DatasetFeed(Feed):
    """Iterations do not show in a map; where the cardinality is known, so is where each begins."""

    def __init__(self, data: Any, stream: Stream, length: int | None) -> None:
        super().__init__(data, stream)
        self._length = length
        self._segment: Segment | None = None
        self._given = 0
        self._lock = threading.Lock()
        self.prompt = True

    def begin(self, adapter: Any) -> None:
        super().begin(adapter)
        self._segment = None

    def show(self, tensors: tuple[Any, ...]) -> None:
        """A batch on its way to its step."""
        if self.owner is None:  # before the loop, which begins the data anew
            return
        with self._lock:
            if self._segment is None:
                self._segment, self._given = self.open(told_pass=self._length is not None), 0
                self._segment.prompt = self.prompt
            self.stream.take(self._segment, tensors)
            self._given += 1
            if self._given == self._length:
                self.stream.end(self._segment, "exhausted")
                self._segment = None
