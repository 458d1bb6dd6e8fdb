import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

pytestmark = pytest.mark.usefixtures("tensorflow")
LABELS = np.repeat([0, 1, 2], [1, 6, 40]).astype(np.int32)[np.random.default_rng(0).permutation(47)]  # epochs of 45
SETTINGS = ("dataset.sampling=balanced", "train.steps_per_epoch=null", "train.batch_size=16")  # 3 steps an epoch


def drawn(config, first, last):
    """(rows of the images, labels) of batches that are not varied."""
    from vit_train.data.images import Examples
    from vit_train.data.pipeline import training_batches

    rows = np.arange(len(LABELS), dtype=np.uint8)
    examples = Examples(np.broadcast_to(rows[:, None, None, None], (len(rows), 8, 8, 3)).copy(), LABELS)
    batches = [(images.numpy(), labels.numpy()) for images, labels in training_batches(examples, config, first, last)]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return np.round(images.mean((1, 2, 3))).astype(int), labels, [len(part) for _, part in batches]


@pytest.fixture
def config(tiny):
    return lambda *overrides: tiny("augment=none", *SETTINGS, *overrides)


def test_each_epoch_has_as_many_of_each_class_and_all_have_their_turn(config):
    rows, labels, sizes = drawn(config(), 0, 3 * 8)
    assert sizes == [16, 16, 13] * 8
    np.testing.assert_array_equal(labels, LABELS[rows])
    for epoch in labels.reshape(8, 45):
        assert np.bincount(epoch).tolist() == [15, 15, 15]
    for stop in (45, 90, 360):
        times = np.bincount(rows[:stop], minlength=47)
        for label in range(3):
            assert np.ptp(times[label == LABELS]) <= 1  # none again before all others of its class
    assert times.min() == 3  # 8 x 15 draws of 40
    first, second = rows.reshape(8, 45)[:2]
    assert first.tolist() != second.tolist()
    assert first.tolist() != sorted(first)
    assert drawn(config("seed=7"), 0, 3)[0].tolist() != first.tolist()


def test_a_batch_depends_on_its_number_only(config):
    whole = drawn(config(), 0, 9)[0]
    for first, start in ((1, 16), (3, 45), (7, 106)):
        np.testing.assert_array_equal(drawn(config(), first, 9)[0], whole[start:])


def test_an_image_that_is_there_again_is_varied_in_another_way(tiny):
    from vit_train.data.images import Examples
    from vit_train.data.pipeline import training_batches

    noise = np.random.default_rng(0).integers(0, 256, (47, 8, 8, 3), np.uint8)
    batches = training_batches(Examples(noise, LABELS), tiny("augment=basic", *SETTINGS), 0, 3)
    single = np.concatenate([images.numpy()[labels.numpy() == 0] for images, labels in batches])
    assert len(np.unique(single, axis=0)) == len(single) == 15


@pytest.mark.parametrize(
    "other",
    [
        "loss.class_weights=balanced",
        "loss.logit_adjustment=1",
        "train.cache_features=true",
        "train.reshuffle=false",
        "augment.repeats=2",
    ],
)
def test_what_contradicts_it_is_refused(other):
    with pytest.raises(ConfigError, match=f"^dataset.sampling=balanced: does not go with {other}, which "):
        load_config(["dataset=digits", "augment=none", "dataset.sampling=balanced", other])
