"""What streaming.vision imports; nothing here uses it."""
