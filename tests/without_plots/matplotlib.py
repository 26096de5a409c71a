"""Stands in for matplotlib, which Keras goes without where it cannot be imported."""

raise ImportError("tests of loaders draw nothing")
