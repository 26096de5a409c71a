"""All data in memory, handed to fit as arrays."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

x = np.concatenate([np.load(name) for name in sorted(glob("shards/x_*.npy"))])
y = np.concatenate([np.load(name) for name in sorted(glob("shards/y_*.npy"))])
model = Net(Witness(made.features(), made.labels()))
model.fit(x, y, batch_size=16, epochs=2, verbose=0)
