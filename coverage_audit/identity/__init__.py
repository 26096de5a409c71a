"""WHICH ROWS: from a batch to rows, one file per way."""
