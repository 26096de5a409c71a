"""The nouns: shards, rows, events, runs, contracts, findings. Standard library and numpy only, no I/O."""
