"""Which examples are used, and which are held out for validation: seeded, and even over the classes."""

import dataclasses

import numpy as np

from vit_train.config.dataset import AnyDatasetConfig
from vit_train.data.folds import distribute
from vit_train.data.images import Dataset, ImageSource
from vit_train.errors import ConfigError

# Every use of the seed draws from a stream of its own, so that one choice does not shift another.
_TRAIN_FRACTION, _TEST_FRACTION, _VALIDATION, _VALIDATION_FRACTION, _LEARNED, _TAIL, _FOLDS = range(7)


def take_fraction(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The same fraction of every class of the train, test and validation images, in their old order.

    Raises ConfigError if a class would be left without an image.
    """
    if fraction == 1:
        return dataset

    def chosen(examples: ImageSource, stream: int) -> np.ndarray:
        rows = _fraction_of_each_class(examples.labels, fraction, (seed, stream))
        _require_all_classes(dataset, examples.labels[rows], f"dataset.fraction={fraction:g}")
        return rows

    learned = chosen(dataset.train, _TRAIN_FRACTION)
    validation = dataset.validation
    return dataclasses.replace(
        dataset,
        train=dataset.train.take(learned),
        test=dataset.test.take(chosen(dataset.test, _TEST_FRACTION)),
        validation=validation.take(chosen(validation, _VALIDATION_FRACTION)) if validation else None,
        groups=None if dataset.groups is None else dataset.groups[learned],
    )


def training_and_validation(dataset: Dataset, options: AnyDatasetConfig, seed: int) -> tuple[ImageSource, ImageSource]:
    """What a run learns from, and what it is validated on; raises ConfigError as the next three do."""
    if options.folds is None:
        training, validation = split_validation(dataset, options.validation, seed)
    else:
        held_out = fold_of_each(dataset, options.folds, seed) == options.fold
        training, validation = (dataset.train.take(np.flatnonzero(each)) for each in (~held_out, held_out))
    training = keep_fraction(dataset, training, options.train_fraction, seed)
    return long_tailed(training, options.imbalance, seed), validation


def fold_of_each(dataset: Dataset, folds: int, seed: int) -> np.ndarray:
    """int64 [N]: which of the folds each of the train images is held out with, drawn from every class by groups.

    Raises ConfigError if a class is in so few groups that a fold would leave none of it to learn from.
    """
    labels, setting = dataset.train.labels, f"dataset.folds={folds}"
    if dataset.validation is not None:
        raise ConfigError(f"{setting}: {dataset.name} gives validation images of its own; have it give none")
    groups = np.arange(len(labels)) if dataset.groups is None else dataset.groups
    found = distribute(labels, groups, [1] * folds, np.random.default_rng((seed, _FOLDS)).permutation(len(labels)))
    counts = np.zeros((folds, len(dataset.class_names)), int)
    np.add.at(counts, (found, labels), 1)
    if not counts.any(axis=1).all():
        raise ConfigError(f"{setting}: there are {len(np.unique(groups)):,} groups of pictures only; make fewer folds")
    alone = np.flatnonzero((counts == counts.sum(axis=0)).any(axis=0))
    if len(alone):
        raise ConfigError(
            f"{setting}: all pictures of class '{dataset.class_names[alone[0]]}' would be held out at once, as they "
            "are in too few groups, or copies of each other; add pictures of others, or leave the class out"
        )
    return found


def split_validation(dataset: Dataset, validation: float | str, seed: int) -> tuple[ImageSource, ImageSource]:
    """Splits the train images into (train, validation), both in their old order, unless there is a validation part.

    `validation` is a fraction, drawn from every class by whole groups, at least one image of it and not all; or "last":
    the last tenth of the rows, as `fit` of Keras takes it for `validation_split=0.1`. Raises ConfigError if a class is
    left without an image to learn from or, for a fraction, to validate on.
    """
    if dataset.validation is not None:
        return dataset.train, dataset.validation
    labels = dataset.train.labels
    if isinstance(validation, str):
        held_out = np.arange(len(labels) - max(1, len(labels) // 10), len(labels))
    else:
        if dataset.groups is None:
            held_out = _fraction_of_each_class(labels, validation, (seed, _VALIDATION), least=1)
        else:
            order = np.random.default_rng((seed, _VALIDATION)).permutation(len(labels))
            held_out = np.flatnonzero(distribute(labels, dataset.groups, [1 - validation, validation], order))
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


def small_class_notes(dataset: Dataset, validation: float | str, folds: int | None = None) -> tuple[str, ...]:
    """What to say of classes for which a fraction of their images would have been none, or all of them.

    Of folds, what to say of classes that not every fold has.
    """
    if folds is not None:
        return _few_for_folds(dataset, folds)
    if isinstance(validation, str) or dataset.validation is not None or dataset.groups is not None:
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


def _few_for_folds(dataset: Dataset, folds: int) -> tuple[str, ...]:
    groups = np.arange(len(dataset.train)) if dataset.groups is None else dataset.groups
    pairs = np.unique(np.stack([dataset.train.labels, groups]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(dataset.class_names))
    few = np.flatnonzero(counts < folds)
    if not len(few):
        return ()
    note = (
        f"note: dataset.folds={folds}: {len(few):,} {'class has' if len(few) == 1 else 'classes have'} fewer pictures, "
        f"or groups of them, than that, such as '{dataset.class_names[few[0]]}' with {counts[few[0]]:,}; not every "
        "fold has them to validate on"
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
