"""DENOMINATOR: how many rows are on disk, one file per format, headers only."""
