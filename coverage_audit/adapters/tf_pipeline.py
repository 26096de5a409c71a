"""What a tf.data dataset is made of, and what was done to a recorded one since."""

from __future__ import annotations

from typing import Any

OURS = "_audit_feed"
"""The attribute of a recorded dataset that has its feed."""

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


def made_of(data: Any) -> list[Any]:
    """The dataset and all that it is made of, as far as that shows."""
    found, todo = [], [data]
    while todo:
        part = todo.pop()
        inputs = getattr(part, "_inputs", None)
        if part is not None:
            found.append(part)
        todo.extend(inputs() if callable(inputs) else ())
    return found


def changed_behind(data: Any, feed: object) -> tuple[str | None, bool]:
    """What was done to the dataset of ``feed`` to make ``data``, if batches then come otherwise than they are shown;
    and whether each is shown only when it is asked for."""
    prompt, part = True, data
    while getattr(part, OURS, None) is not feed:
        name, inputs = type(part).__name__, part._inputs()
        is_as_it_comes = getattr(part, "_deterministic", "default") == "false"
        if name not in _IN_ORDER or len(inputs) != 1 or is_as_it_comes:
            return name.removeprefix("_").removesuffix("Dataset").lower(), False
        prompt, part = prompt and _IN_ORDER[name], inputs[0]
    return None, prompt


def repeats(part: Any) -> bool:
    """Whether one iteration goes through the data several times, or nobody knows."""
    import tensorflow as tf

    if type(part).__name__ != "_RepeatDataset":
        return False
    count = tf.get_static_value(getattr(part, "_count", None))
    return count is None or int(count) != 1
