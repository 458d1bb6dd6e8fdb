import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.data.images import Dataset, Examples
from vit_train.data.split import (
    keep_fraction,
    long_tailed,
    small_class_notes,
    split_validation,
    take_fraction,
    training_and_validation,
)
from vit_train.errors import ConfigError


def examples(labels):
    """Images that hold their row number, so that rows can be followed."""
    labels = np.asarray(labels, np.int32)
    return Examples(np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1), labels)


def rows(part):
    return part.images.ravel().tolist()


@pytest.fixture
def dataset():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 60, 40]))
    return Dataset("three", examples(labels), examples(np.repeat([0, 1, 2], 10)), ("a", "b", "c"))


def test_validation_takes_its_share_of_every_class(dataset):
    training, validation = split_validation(dataset, 0.1, seed=1)
    assert np.bincount(validation.labels).tolist() == [10, 6, 4]
    assert np.bincount(training.labels).tolist() == [90, 54, 36]


def test_the_parts_are_the_whole_in_the_old_order(dataset):
    training, validation = split_validation(dataset, 0.3, seed=1)
    assert sorted(rows(training) + rows(validation)) == list(range(200))
    assert rows(training) == sorted(rows(training))
    assert (training.labels == dataset.train.labels[rows(training)]).all()


def test_the_seed_decides(dataset):
    def held_out(seed):
        return rows(split_validation(dataset, 0.2, seed)[1])

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


def test_last_is_the_split_of_keras_fit(dataset):
    training, validation = split_validation(dataset, "last", seed=1)
    # keras.src.trainers.data_adapters.array_slicing: split_at = floor(200 * (1 - 0.1))
    assert rows(training) == list(range(180))
    assert rows(validation) == list(range(180, 200))


def test_a_fraction_is_taken_of_every_class_of_train_and_test(dataset):
    part = take_fraction(dataset, 0.1, seed=3)
    assert np.bincount(part.train.labels).tolist() == [10, 6, 4]
    assert np.bincount(part.test.labels).tolist() == [1, 1, 1]
    assert take_fraction(dataset, 1.0, seed=3) is dataset


def test_a_fraction_to_learn_from_is_of_what_validation_leaves(dataset):
    training, _ = split_validation(dataset, 0.2, seed=1)
    kept = keep_fraction(dataset, training, 0.25, seed=1)
    assert np.bincount(kept.labels).tolist() == [20, 12, 8]
    assert set(rows(kept)) < set(rows(training))
    assert rows(kept) == sorted(rows(kept)) != rows(keep_fraction(dataset, training, 0.25, seed=2))
    assert keep_fraction(dataset, training, 1.0, seed=1) is training
    options = load_config(["dataset=digits", "dataset.validation=0.2", "dataset.train_fraction=0.25"]).dataset
    assert rows(training_and_validation(dataset, options, seed=1)[0]) == rows(kept)
    with pytest.raises(ConfigError, match=r"^dataset.train_fraction=0.01: leaves class 'b' of three without an image"):
        keep_fraction(dataset, training, 0.01, seed=1)


def test_a_long_tail_is_the_published_one():
    """The counts of CIFAR-100-LT with imbalance 100: 500 to 5, 10,847 in all (Cao et al.; Cui et al., 2019)."""
    even = examples(np.tile(np.arange(100), 500))
    counts = np.bincount(long_tailed(even, 100, seed=1).labels)
    assert (counts[0], counts[1], counts[50], counts[99], counts.sum()) == (500, 477, 48, 5, 10_847)


def test_a_long_tail_is_of_what_validation_leaves(dataset):
    options = load_config(["dataset=digits", "dataset.validation=0.2", "dataset.imbalance=4"]).dataset
    training, validation = training_and_validation(dataset, options, seed=1)
    before, same = split_validation(dataset, 0.2, seed=1)
    assert rows(validation) == rows(same)
    assert np.bincount(before.labels).tolist() == [80, 48, 32]
    assert np.bincount(training.labels).tolist() == [80, 40, 20]
    assert set(rows(training)) < set(rows(before))
    assert rows(training) == sorted(rows(training)) == rows(long_tailed(before, 4, seed=1))
    assert rows(training) != rows(long_tailed(before, 4, seed=2))
    assert np.bincount(long_tailed(before, 1e9, seed=1).labels).tolist() == [80, 1, 1]
    assert np.bincount(long_tailed(before, 1.1, seed=1).labels).tolist() == [80, 48, 32]  # there are no more


def test_a_class_left_empty_is_named(dataset):
    with pytest.raises(ConfigError, match=r"^dataset.fraction=0.01: leaves class 'c' of three without an image"):
        take_fraction(dataset, 0.01, seed=0)
    alone = Dataset("lone", examples([0, 0, 0, 1]), examples([0, 1]), ("a", "b"))
    with pytest.raises(ConfigError, match=r"^dataset.validation=0.5: leaves class 'b'"):
        split_validation(alone, 0.5, seed=0)


@pytest.mark.parametrize(("fraction", "held_out"), [(0.01, [1, 1, 2]), (0.1, [1, 1, 20]), (0.999, [1, 4, 199])])
def test_each_part_has_at_least_one_of_each_class_and_says_so(fraction, held_out):
    few = Dataset("few", examples(np.repeat([0, 1, 2], [2, 5, 200])), examples([0, 1, 2]), ("a", "b", "c"))
    training, validation = split_validation(few, fraction, seed=1)
    assert np.bincount(validation.labels).tolist() == held_out
    assert (np.bincount(training.labels) + held_out).tolist() == [2, 5, 200]
    (note,) = small_class_notes(few, fraction)
    assert note.startswith(f"note: dataset.validation={fraction:g} is less than one image, or all of them, in ")
    assert "'a' with 2 to train on" in note


def test_nothing_is_said_of_classes_that_are_large_enough(dataset):
    assert small_class_notes(dataset, 0.1) == small_class_notes(dataset, "last") == ()


def test_last_may_not_take_a_whole_class():
    ordered = Dataset("ordered", examples(np.repeat([0, 1], [95, 5])), examples([0, 1]), ("a", "b"))
    with pytest.raises(ConfigError, match=r"^dataset.validation=last: leaves class 'b'"):
        split_validation(ordered, "last", seed=0)
