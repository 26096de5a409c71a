"""What streaming.vision imports; nothing here uses it."""


class VisionDataset:
    pass


class CIFAR10:
    pass
