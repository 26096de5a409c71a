"""Stands in for pandas, which Keras goes without where it cannot be imported."""

raise ImportError("tests of loaders have no data frames")
