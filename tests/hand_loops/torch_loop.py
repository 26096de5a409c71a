"""A plain PyTorch loop: rows drawn by hand, weights saved with what was seen, and gone on from."""

import sys
from pathlib import Path

import torch

import coverage_audit as ca

x, y = torch.randn(1000, 8), torch.randn(1000, 1)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
saved = Path("model.pt")
killed_at = int(sys.argv[1]) if len(sys.argv) > 1 else -1

with ca.Recorder("run.parquet", ca.Dataset.of(x), batch_size=32, resume=saved.exists()) as rec:
    first = 0
    if saved.exists():
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        rec.load_state_dict(state["coverage"])
        first = state["epoch"]
    for epoch in range(first, 3):
        torch.manual_seed(epoch)  # the order of an epoch is the same in every attempt
        with rec.epoch():
            for step, rows in enumerate(torch.randperm(len(x)).split(32)):
                if epoch == killed_at and step == 10:
                    sys.exit("killed")
                loss = torch.nn.functional.mse_loss(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rec.step(rows)
        torch.save({"model": model.state_dict(), "epoch": epoch + 1, "coverage": rec.state_dict()}, saved)
