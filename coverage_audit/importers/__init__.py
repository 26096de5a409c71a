"""Logs of (step, ids) that were written without us, as run logs: one file per format."""
