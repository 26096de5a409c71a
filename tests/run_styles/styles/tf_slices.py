"""A tf.data pipeline over arrays in memory, repeated for ever."""

from glob import glob

import made
import numpy as np
import tensorflow as tf
from net import Net
from witness import Witness

x = np.concatenate([np.load(name) for name in sorted(glob("shards/x_*.npy"))])
y = np.concatenate([np.load(name) for name in sorted(glob("shards/y_*.npy"))])
data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).repeat().batch(16)

model = Net(Witness(made.features(), made.labels()))
model.fit(data, steps_per_epoch=10, epochs=4, verbose=0)
