"""LAUNCH: runs a training script unchanged, and records it. Imports nothing heavy before the script does."""
