"""Writes down what a training step was really given: one line of JSON per step, on disk before the step goes on."""

import json
import sys

import made
import numpy as np


class Witness:
    """Finds rows by what they hold. ``undo`` leads from what the model sees back to what the files hold."""

    def __init__(self, rows, labels, part="train", undo=lambda x: x, path=None):
        self.rows, self.part, self.undo = rows.reshape(len(rows), -1).astype(np.float64), part, undo
        self.row_of_label = {int(label): row for row, label in enumerate(labels[:, 0])}
        self.file = open(path or sys.argv[1], "a", buffering=1)  # open as long as the script runs

    def tell(self, x, y=None, **more):
        """A step is being done on this batch."""
        said = {"part": self.part, "x": self.find(np.asarray(x)), **more}
        if y is not None:
            said["y"] = [self.row_of_label[round(float(label))] for label in np.asarray(y).ravel()]
        self.file.write(json.dumps(said) + "\n")

    def find(self, x):
        """Row numbers; raises if a row is not clearly one of the data's."""
        seen = np.asarray(self.undo(x.astype(np.float64))).reshape(len(x), -1)
        far = np.abs(self.rows[None] - seen[:, None]).max(axis=2)
        nearest = far.argmin(axis=1)
        if not (far.min(axis=1) < 1e-3).all():
            raise ValueError(f"no rows of the data: off by {far.min(axis=1)}")
        return nearest.tolist()


class TokenWitness:
    """Finds windows of tokens by their first eight."""

    def __init__(self, path=None):
        self.tokens = made.tokens()
        grams = np.lib.stride_tricks.sliding_window_view(self.tokens, 8)
        self.at = {gram.tobytes(): at for at, gram in enumerate(grams)}
        if len(self.at) != len(grams):
            raise ValueError("two places hold the same eight tokens")
        self.file = open(path or sys.argv[1], "a", buffering=1)

    def tell(self, x, y, **more):
        """A step is being done on these windows, (B, T) of any integer type."""
        windows = []
        for row, target in zip(np.asarray(x).astype(np.uint16), np.asarray(y).astype(np.uint16), strict=True):
            at = self.at[row[:8].tobytes()]
            if not (row == self.tokens[at : at + len(row)]).all():
                raise ValueError(f"the window at {at} is not whole")
            if not (target == self.tokens[at + 1 : at + 1 + len(row)]).all():
                raise ValueError(f"the targets of the window at {at} are others")
            windows.append([at, len(row)])
        self.file.write(json.dumps({"part": "train", "windows": windows, **more}) + "\n")
