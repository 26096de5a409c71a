"""Windows of a token file at random places, x and y one token apart, stacked."""

import numpy as np
from net import Net
from witness import TokenWitness

BATCH = 16


LENGTH = 24
tokens = np.memmap("shards/train.bin", dtype=np.uint16, mode="r")


def batches():
    random = np.random.default_rng(0)
    while True:
        places = random.integers(0, len(tokens) - LENGTH - 1, BATCH)
        x = np.stack([tokens[i : i + LENGTH] for i in places])
        y = np.stack([tokens[i + 1 : i + 1 + LENGTH] for i in places])
        yield x.astype(np.int64), y.astype(np.int64)


model = Net(TokenWitness())
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
