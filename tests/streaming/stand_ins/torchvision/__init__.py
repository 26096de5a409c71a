"""Stands in for torchvision, which MosaicML Streaming imports for its vision datasets and has no CPU build here."""
