"""What recording, storing, counting and starting cost: ``python -m benchmarks``. README.md says how it is measured."""
