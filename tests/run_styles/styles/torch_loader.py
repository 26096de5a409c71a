"""A torch DataLoader over memory maps, validation under no_grad after each epoch: ``torch_loader.py TRUTH WORKERS``."""

import sys
from bisect import bisect_right
from glob import glob

import made
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from witness import Witness


class Files(Dataset):
    def __init__(self, folder):
        self.x = [np.load(name, mmap_mode="r") for name in sorted(glob(f"{folder}/x_*.npy"))]
        self.y = [np.load(name, mmap_mode="r") for name in sorted(glob(f"{folder}/y_*.npy"))]
        self.ends = np.cumsum([len(x) for x in self.x]).tolist()

    def __len__(self):
        return self.ends[-1]

    def __getitem__(self, i):
        at = bisect_right(self.ends, i)
        row = i - (self.ends[at - 1] if at else 0)
        return torch.from_numpy(self.x[at][row].copy()), torch.from_numpy(self.y[at][row].copy())


if __name__ == "__main__":
    torch.manual_seed(0)
    workers = int(sys.argv[2])
    training = DataLoader(Files("shards"), batch_size=16, shuffle=True, num_workers=workers)
    held_out = DataLoader(Files("held_out"), batch_size=32, num_workers=workers)
    model = torch.nn.Linear(12, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    seen = Witness(made.features(), made.labels())
    tested = Witness(made.features(9), made.labels(9), "validation")
    for epoch in range(2):
        model.train()
        for x, y in training:
            optimizer.zero_grad()
            seen.tell(x, y)
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in held_out:
                tested.tell(x, y)
                model(x)
