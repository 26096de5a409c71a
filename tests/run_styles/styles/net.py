"""A small Keras model whose own training step tells the witness what it is given."""

import keras
import numpy as np

TENSORFLOW = keras.backend.backend() == "tensorflow"

if TENSORFLOW:
    import tensorflow as tf


class Net(keras.Model):
    def __init__(self, witness, held_out=None):
        super().__init__()
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(1)
        self.trained = witness.tell
        self.tested = held_out.tell if held_out is not None else lambda x, y: None
        # Steps so small that no data makes the weights run away.
        self.compile(keras.optimizers.SGD(1e-9), "mse", jit_compile=False)

    def call(self, x):
        return self.dense(self.flatten(keras.ops.cast(x, "float32")))

    def train_step(self, data):
        tell(self.trained, data[0], data[1])
        return super().train_step(data)

    def test_step(self, data):
        tell(self.tested, data[0], data[1])
        return super().test_step(data)


def tell(told, x, y):
    def note(x, y):
        told(x, y)
        return np.int64(0)

    if TENSORFLOW:
        tf.numpy_function(note, [x, y], tf.int64)
    else:
        note(keras.ops.convert_to_numpy(x), keras.ops.convert_to_numpy(y))
