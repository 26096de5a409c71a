"""What streaming.text imports; nothing here uses it."""


class AutoTokenizer:
    pass
