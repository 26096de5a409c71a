"""Token files one after the other, in stretches of B·T + 1; what is left of each file is dropped."""

from glob import glob

import numpy as np
import torch
from witness import TokenWitness

B, T = 4, 32


def load_tokens(name):
    tokens = np.fromfile(name, dtype=np.uint16).astype(np.int32)
    return torch.tensor(tokens, dtype=torch.long)


class TokenLoader:
    def __init__(self):
        self.names = sorted(glob("shards/train_*.bin"))
        self.at, self.place = 0, 0
        self.tokens = load_tokens(self.names[0])

    def next_batch(self):
        buffer = self.tokens[self.place : self.place + B * T + 1]
        x, y = buffer[:-1].view(B, T), buffer[1:].view(B, T)
        self.place += B * T
        if self.place + B * T + 1 > len(self.tokens):
            self.at = (self.at + 1) % len(self.names)
            self.tokens, self.place = load_tokens(self.names[self.at]), 0
        return x, y


def batches():
    loader = TokenLoader()
    while True:
        yield loader.next_batch()


torch.manual_seed(0)
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
