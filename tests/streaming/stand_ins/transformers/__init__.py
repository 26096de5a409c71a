"""Stands in for transformers below 5, of which MosaicML Streaming imports a tokenizer and two kinds of batches."""
