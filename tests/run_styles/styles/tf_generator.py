"""Rows from a Python generator, shuffled and batched by tf.data."""

from glob import glob

import made
import numpy as np
import tensorflow as tf
from net import Net
from witness import Witness


def rows():
    for name in sorted(glob("shards/x_*.npy")):
        x = np.load(name, mmap_mode="r")
        y = np.load(name.replace("x_", "y_"), mmap_mode="r")
        yield from zip(x, y, strict=True)


data = tf.data.Dataset.from_generator(
    rows,
    output_signature=(tf.TensorSpec((12,), tf.float32), tf.TensorSpec((1,), tf.float32)),
)
data = data.shuffle(100, seed=0).batch(16).prefetch(tf.data.AUTOTUNE)

model = Net(Witness(made.features(), made.labels()))
model.fit(data, epochs=2, verbose=0)
