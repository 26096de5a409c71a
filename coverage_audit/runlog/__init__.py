"""STORE: the run log. Journals are written in the training loop, Parquet parts afterwards."""
