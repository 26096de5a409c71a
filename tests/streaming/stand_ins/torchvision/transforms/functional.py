"""What streaming.vision imports; nothing here uses it."""

from typing import Any


def to_tensor(picture: Any) -> Any:
    raise NotImplementedError("a stand-in of the tests: no pictures are made tensors of")
