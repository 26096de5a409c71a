"""As torch_token_shards, with memory maps that become tensors batch by batch."""

from glob import glob

import numpy as np
import torch
from witness import TokenWitness

B, T = 4, 32


def batches():
    while True:
        for name in sorted(glob("shards/train_*.bin")):
            tokens = np.memmap(name, dtype=np.uint16, mode="r")
            place = 0
            while place + B * T + 1 <= len(tokens):
                buffer = torch.from_numpy(tokens[place : place + B * T + 1].astype(np.int64))
                yield buffer[:-1].view(B, T), buffer[1:].view(B, T)
                place += B * T


model = torch.nn.Sequential(torch.nn.Embedding(500, 8), torch.nn.Linear(8, 500))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
witness = TokenWitness()
data = batches()
for step in range(180):
    x, y = next(data)
    witness.tell(x, y)
    loss = torch.nn.functional.cross_entropy(model(x).view(-1, 500), y.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
