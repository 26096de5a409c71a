"""What streaming.text imports; nothing here uses it."""
