import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.data.sources import load_dataset
from vit_train.errors import ConfigError


def test_digits_need_no_files():
    digits = load_dataset(load_config(["dataset=digits"]))
    assert (digits.train.images.shape, digits.train.images.dtype) == ((1437, 8, 8, 3), np.uint8)
    assert (digits.test.images.shape, digits.test.labels.dtype) == ((360, 8, 8, 3), np.int32)
    assert digits.class_names == tuple("0123456789")
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)
    assert np.bincount(digits.test.labels).min() >= 35


def test_no_digit_is_in_both_parts():
    from sklearn.datasets import load_digits

    digits = load_dataset(load_config(["dataset=digits"]))
    both = np.concatenate([digits.train.images, digits.test.images])[..., 0]
    original = np.round(load_digits().images * (255 / 16))
    assert sorted(map(bytes, both)) == sorted(map(bytes, original.astype(np.uint8)))


def test_digits_take_no_root():
    with pytest.raises(ConfigError, match=r"^dataset.root=/x: dataset=digits comes with scikit-learn"):
        load_dataset(load_config(["dataset=digits", "dataset.root=/x"]))
