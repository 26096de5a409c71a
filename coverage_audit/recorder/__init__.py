"""RECORD: runs inside the training loop; imports neither pandas nor pyarrow."""
