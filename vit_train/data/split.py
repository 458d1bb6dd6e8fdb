"""Which examples are used, and which are held out for validation: seeded, and even over the classes."""

import dataclasses

import numpy as np

from vit_train.config.schema import AnyDatasetConfig
from vit_train.data.images import Dataset, ImageSource
from vit_train.errors import ConfigError

# Every use of the seed draws from a stream of its own, so that one choice does not shift another.
_TRAIN_FRACTION, _TEST_FRACTION, _VALIDATION, _VALIDATION_FRACTION, _LEARNED, _TAIL = range(6)


def take_fraction(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The same fraction of every class of the train, test and validation images, in their old order.

    Raises ConfigError if a class would be left without an image.
    """
    if fraction == 1:
        return dataset

    def part(examples: ImageSource, stream: int) -> ImageSource:
        chosen = _fraction_of_each_class(examples.labels, fraction, (seed, stream))
        _require_all_classes(dataset, examples.labels[chosen], f"dataset.fraction={fraction:g}")
        return examples.take(chosen)

    train, test = part(dataset.train, _TRAIN_FRACTION), part(dataset.test, _TEST_FRACTION)
    validation = part(dataset.validation, _VALIDATION_FRACTION) if dataset.validation else None
    return dataclasses.replace(dataset, train=train, test=test, validation=validation)


def training_and_validation(dataset: Dataset, options: AnyDatasetConfig, seed: int) -> tuple[ImageSource, ImageSource]:
    """What a run learns from, and what it is validated on; raises ConfigError as the next two do."""
    training, validation = split_validation(dataset, options.validation, seed)
    training = keep_fraction(dataset, training, options.train_fraction, seed)
    return long_tailed(training, options.imbalance, seed), validation


def split_validation(dataset: Dataset, validation: float | str, seed: int) -> tuple[ImageSource, ImageSource]:
    """Splits the train images into (train, validation), both in their old order, unless there is a validation part.

    `validation` is a fraction, drawn from every class, at least one image of it and not all; or "last": the last tenth
    of the rows, as `fit` of Keras takes it for `validation_split=0.1`. Raises ConfigError if a class is left without an
    image to learn from or, for a fraction, to validate on.
    """
    if dataset.validation is not None:
        return dataset.train, dataset.validation
    labels = dataset.train.labels
    if isinstance(validation, str):
        held_out = np.arange(len(labels) - max(1, len(labels) // 10), len(labels))
    else:
        held_out = _fraction_of_each_class(labels, validation, (seed, _VALIDATION), least=1)
        _require_all_classes(dataset, labels[held_out], f"dataset.validation={validation:g}")
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    _require_all_classes(dataset, labels[kept], f"dataset.validation={validation}")
    return dataset.train.take(kept), dataset.train.take(held_out)


def keep_fraction(dataset: Dataset, training: ImageSource, fraction: float, seed: int) -> ImageSource:
    """The same fraction of every class of the `training` images that validation has left of `dataset`.

    Raises ConfigError if a class would be left without an image.
    """
    if fraction == 1:
        return training
    kept = _fraction_of_each_class(training.labels, fraction, (seed, _LEARNED))
    _require_all_classes(dataset, training.labels[kept], f"dataset.train_fraction={fraction:g}")
    return training.take(kept)


def long_tailed(training: ImageSource, imbalance: float, seed: int) -> ImageSource:
    """Of class i of K classes, n * imbalance^(-i / (K - 1)) images, where n is how many the largest class has.

    That number is rounded down, and is at least 1 and at most what there is. (The exponential profile of K. Cao et al.,
    arXiv 1906.07413, in their code, where CIFAR-100 with imbalance 100 has 10,847 images.)
    """
    if imbalance == 1:
        return training
    counts = np.bincount(training.labels)
    profile = counts.max() * imbalance ** (-np.arange(len(counts)) / max(1, len(counts) - 1))
    wanted = np.clip(np.floor(profile + 1e-9).astype(int), 1, counts)  # 5 is not to be 4.999...
    generator = np.random.default_rng((seed, _TAIL))
    chosen = [
        generator.permutation(np.flatnonzero(training.labels == label))[:count] for label, count in enumerate(wanted)
    ]
    return training.take(np.sort(np.concatenate(chosen)))


def small_class_notes(dataset: Dataset, validation: float | str) -> tuple[str, ...]:
    """What to say of classes for which a fraction of their images would have been none, or all of them."""
    if isinstance(validation, str) or dataset.validation is not None:
        return ()
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    held_out = np.round(validation * counts)
    small = np.flatnonzero((held_out < 1) | (held_out >= counts))
    if not len(small):
        return ()
    note = (
        f"note: dataset.validation={validation:g} is less than one image, or all of them, in {len(small):,} "
        f"{'class' if len(small) == 1 else 'classes'}, such as '{dataset.class_names[small[0]]}' with "
        f"{counts[small[0]]:,} to train on; both parts have at least one of each"
    )
    return (note,)


def _fraction_of_each_class(labels: np.ndarray, share: float, key: tuple[int, int], least: int = 0) -> np.ndarray:
    """Sorted indices of round(share * count) examples of every class, and of `least` at least, in and out."""
    generator = np.random.default_rng(key)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), least), len(members) - least)
        chosen.append(generator.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def _require_all_classes(dataset: Dataset, labels: np.ndarray, setting: str) -> None:
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    if not counts.all():
        name = dataset.class_names[int(np.argmin(counts))]
        raise ConfigError(
            f"{setting}: leaves class '{name}' of {dataset.name} without an image in one part; "
            "use a larger fraction or another dataset.validation"
        )
