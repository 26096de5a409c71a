"""Ends in one of the ways a script can: ``ends_badly.py TRUTH import|exit|kill|raise|status``."""

import os
import signal
import sys
from glob import glob

import made
import numpy as np

how = sys.argv[2]
if how == "import":
    import there_is_no_such_module  # noqa: F401

import keras
from net import Net
from witness import Witness


def batches():
    while True:
        for name in sorted(glob("shards/x_*.npy")):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            for i in range(0, len(x), 16):
                yield x[i : i + 16], y[i : i + 16]


class End(keras.callbacks.Callback):
    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == 5:
            if how == "exit":
                os._exit(5)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "raise":
                raise RuntimeError("the loss is not a number")
            if how == "status":
                sys.exit(7)


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, callbacks=[End()], verbose=0)
