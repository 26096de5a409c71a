"""Random windows of train.bin by a ``get_batch`` of one's own, as small language-model scripts do it."""

import numpy as np
import torch
from witness import TokenWitness

LENGTH, BATCH = 24, 8


def get_batch(split):
    # The map is made anew each time, which keeps memory from growing.
    tokens = np.memmap("shards/train.bin", dtype=np.uint16, mode="r")
    if split == "train":
        tokens = tokens[: int(0.9 * len(tokens))]
    else:
        tokens = tokens[int(0.9 * len(tokens)) :]
    places = torch.randint(len(tokens) - LENGTH, (BATCH,))
    x = torch.stack([torch.from_numpy(tokens[i : i + LENGTH].astype(np.int64)) for i in places])
    y = torch.stack([torch.from_numpy(tokens[i + 1 : i + 1 + LENGTH].astype(np.int64)) for i in places])
    return x, y


@torch.no_grad()
def estimate_loss():
    for split in ("train", "held out"):
        for _ in range(3):
            x, y = get_batch(split)
            torch.nn.functional.cross_entropy(model(x).view(-1, 500), y.view(-1))


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Embedding(500, 8), torch.nn.Linear(8, 500))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
witness = TokenWitness()
for step in range(40):
    if step % 20 == 0:
        estimate_loss()
    x, y = get_batch("train")
    witness.tell(x, y)
    loss = torch.nn.functional.cross_entropy(model(x).view(-1, 500), y.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
