"""JUDGE: one file per rule; `ls` is the catalogue. Read `_rule.py` first."""
