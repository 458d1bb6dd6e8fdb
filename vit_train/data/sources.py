"""What images exist: a data set's name -> images and class names."""

import hashlib
from dataclasses import replace

import numpy as np

from vit_train.config import plugins
from vit_train.config.schema import Config
from vit_train.data.cifar import load_cifar
from vit_train.data.folder import load_folder
from vit_train.data.images import Dataset, Examples, ImageSource, with_channels
from vit_train.data.npz import load_npz
from vit_train.data.split import take_fraction
from vit_train.data.table import load_table
from vit_train.errors import ConfigError, DataError


def load_dataset(config: Config) -> Dataset:
    """The images of a data set, or the fraction of them that the config asks for.

    Raises DataError if its files are absent or damaged, and ConfigError if the fraction is too small for its classes.
    """
    return take_fraction(load_all(config), config.dataset.fraction, config.seed)


def load_all(config: Config) -> Dataset:
    """All images of a data set; raises DataError if its files are absent or damaged."""
    if config.dataset.own is not None:
        return _of_plugin(config)
    name, root = config.dataset.name, config.dataset.root
    if name == "digits":
        if root is not None:
            raise ConfigError(f"dataset.root={root}: dataset=digits comes with scikit-learn and takes no root")
        return _with_channels(load_digits(), config.dataset.channels)
    if name in ("cifar10", "cifar100"):
        return _with_channels(load_cifar(name, root), config.dataset.channels)
    assert root is not None  # DatasetConfig sees to it
    if name in ("table", "hf"):
        return load_table(root, config.dataset, config.model.image_size)
    if name == "npz":
        return load_npz(root, config.dataset)
    return load_folder(root, config.dataset, config.model.image_size)


def _with_channels(dataset: Dataset, channels: int) -> Dataset:
    """A data set in memory, with images of so many channels."""

    def changed(part: ImageSource) -> Examples:
        assert isinstance(part, Examples)
        return Examples(with_channels(part.images, channels), part.labels)

    return replace(dataset, train=changed(dataset.train), test=changed(dataset.test))


def _of_plugin(config: Config) -> Dataset:
    """What a plugin's function gives, with a fingerprint of what is in memory.

    Raises ConfigError, with file and line, if it fails, and DataError for what is no data set.
    """
    assert config.dataset.own is not None
    with plugins.own_blamed():
        dataset = config.dataset.own()
    place, digest = f"dataset={config.dataset.name}: its function gives", hashlib.sha256()
    if not isinstance(dataset, Dataset):
        raise DataError(f"{place} {type(dataset).__name__}, not a vit_train.Dataset")
    for part in filter(None, (dataset.train, dataset.test, dataset.validation)):
        if part.size != dataset.train.size:
            raise DataError(f"{place} images of {part.size} and of {dataset.train.size} pixels; give all one size")
        if not len(part) or not 0 <= part.labels.min() <= part.labels.max() < len(dataset.class_names):
            raise DataError(f"{place} a part that is empty, or labels that are not 0 to {len(dataset.class_names) - 1}")
        if isinstance(part, Examples):
            if part.images.dtype != np.uint8 or part.images.shape != (len(part), *part.size, 3):
                raise DataError(f"{place} {part.images.dtype} {list(part.images.shape)}, not uint8 [N, H, W, 3]")
            digest.update(np.ascontiguousarray(part.images).data)
            digest.update(part.labels.astype(np.int32).tobytes())
    return replace(dataset, name=config.dataset.name, fingerprint=dataset.fingerprint or digest.hexdigest())


def load_digits() -> Dataset:
    """scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, repeated over three channels.

    The set has no test part of its own: a fifth of every class, always the same, is it.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    bunch = load()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    examples = Examples(np.repeat(grey[..., None], 3, axis=-1), bunch.target.astype(np.int32))
    train, test = train_test_split(np.arange(len(examples)), test_size=0.2, random_state=0, stratify=examples.labels)
    return Dataset("digits", examples.take(np.sort(train)), examples.take(np.sort(test)), tuple("0123456789"))
