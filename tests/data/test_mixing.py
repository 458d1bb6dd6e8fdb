"""Mixup, CutMix, crops, erasing and repeats, in whole batches."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

SIDE = 8


@pytest.fixture
def config(tiny):
    """Nothing is varied but what is asked for."""
    return lambda *keys: tiny("augment=none", "train.steps_per_epoch=null", "train.batch_size=24", "train.epochs=100",
                              f"model.image_size={SIDE}", *keys)  # fmt: skip


@pytest.fixture
def examples():
    """72 images of one value, 20 times their label."""
    from vit_train.data.images import Examples

    labels = np.arange(72, dtype=np.int32) % 10
    return Examples(np.tile((labels * 20).astype(np.uint8)[:, None, None, None], (1, SIDE, SIDE, 3)), labels)


def batches(examples, config, steps):
    from vit_train.data.pipeline import training_batches

    return [(images.numpy(), targets.numpy()) for images, targets in training_batches(examples, config, 0, steps)]


def first_weights(found):
    """The fraction of the batch's first image in itself, from the targets; None where it is not to be seen."""
    return [targets[0].max() for _, targets in found if (targets[0] > 0).sum() == 2]


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_targets_say_how_much_there_is_of_each_image(examples, config, kind):
    found = batches(examples, config(f"augment.{kind}=1"), 60)
    for images, targets in found:
        assert targets.dtype == np.float32
        assert targets.shape == (24, 10)
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(images.mean((1, 2, 3)), targets @ (20 * np.arange(10)), atol=1e-3)
        whole = np.isclose(images % 20, 0, atol=1e-3) | np.isclose(images % 20, 20, atol=1e-3)
        if kind == "cutmix":
            assert whole.all()  # no pixel is a blend
    weights = first_weights(found)
    assert len(weights) > 40
    if kind == "mixup":  # the larger of w and 1 - w, for w even in [0, 1]
        assert np.mean(weights) == pytest.approx(0.75, abs=0.06)


def test_mixing_is_a_function_of_seed_and_step_and_not_of_where_it_begins(examples, config):
    from vit_train.data.pipeline import training_batches

    mixed = config("augment.mixup=0.4", "augment.cutmix=1")
    whole = batches(examples, mixed, 6)
    later = [(images.numpy(), targets.numpy()) for images, targets in training_batches(examples, mixed, 4, 6)]
    for (images, targets), (same_images, same_targets) in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(targets, same_targets)


def mixes(config, steps):
    """[steps, 5] as drawn, for batches of two."""
    import tensorflow as tf

    from vit_train.data.augmentation.mixing import draw_mix

    one = tf.function(lambda step: draw_mix(config.augment, 5, step, tf.constant(True), tf.constant(2), 32)["mix"][0])
    return np.array([one(tf.constant(step, tf.int64)) for step in range(steps)])


def test_weights_are_of_a_beta_distribution_and_kinds_alternate(config):
    found = mixes(config("augment.mixup=0.2", "augment.cutmix=1", "augment.mix_probability=0.8",
                         "augment.mix_switch=0.25"), 1200)  # fmt: skip
    cut, blended = found[:, 1] < found[:, 3], found[:, 0] < 1
    assert not (cut & blended).any()
    assert cut.mean() == pytest.approx(0.8 * 0.25, abs=0.05)  # a few rectangles are empty
    assert blended.mean() == pytest.approx(0.8 * 0.75, abs=0.05)
    weights = found[blended, 0]
    assert weights.mean() == pytest.approx(0.5, abs=0.05)
    assert weights.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.02)
    sides = found[cut, 3] - found[cut, 1]
    assert (found[:, 1:] == np.floor(found[:, 1:])).all()
    assert 1 <= sides.min() <= sides.max() <= 32


def test_the_last_epochs_are_not_mixed(examples, config):
    found = batches(examples, config("augment.cutmix=1", "train.epochs=3", "augment.mix_off_epochs=1"), 9)
    assert any((targets > 0).sum() > 24 for _, targets in found[:6])
    assert all((targets.max(1) == 1).all() for _, targets in found[6:])


def test_repeats_are_varied_anew_and_all_images_come_in_turn(examples, config):
    examples.images[:] = np.random.default_rng(0).integers(0, 256, (72, SIDE, SIDE, 3))
    examples.labels[:] = np.arange(72)
    found = batches(examples, config("augment.repeats=3", "augment.crop_padding=2"), 9)  # three epochs
    for images, labels in found:
        np.testing.assert_array_equal(labels.reshape(-1, 3), labels[::3, None] * np.ones((1, 3)))
        assert len({image.tobytes() for image in images}) > 16  # of 8 images, each three times; 25 crops are possible
    assert sorted(np.concatenate([labels[::3] for _, labels in found])) == list(range(72))


def test_a_crop_shifts_by_whole_pixels_of_the_mirrored_image(examples, config):
    examples.images[:] = np.random.default_rng(0).integers(0, 256, (72, SIDE, SIDE, 3))
    examples.labels[:] = np.arange(72)
    seen = set()
    for images, labels in batches(examples, config("augment.crop_padding=2"), 6):
        for image, label in zip(images, labels, strict=True):
            padded = np.pad(examples.images[label], ((2, 2), (2, 2), (0, 0)), mode="symmetric")
            places = [(y, x) for y in range(5) for x in range(5)
                      if np.allclose(padded[y : y + SIDE, x : x + SIDE], image, atol=1e-3)]  # fmt: skip
            assert len(places) == 1
            seen.update(places)
    assert len(seen) == 25


def test_a_random_resized_crop_is_a_box_of_the_asked_area_and_ratio(config):
    import tensorflow as tf

    from vit_train.data.augmentation.draw import draw

    keys = config("augment.crop_scale=[0.25,0.5]", "augment.crop_ratio=[0.5,2]").augment
    rows = draw(keys, 1, tf.range(500, dtype=tf.int64), tf.constant(0, tf.int64), (40, 20), 16)["transforms"].numpy()
    width, height = rows[:, 0] * 16 / 20, rows[:, 4] * 16 / 40
    whole = (width < 1) & (height < 1)  # what is longer than the image is cut
    area, ratio = (width * height)[whole], (width * 20 / (height * 40))[whole]
    assert 0.25 <= area.min() < 0.27
    assert 0.48 < area.max() <= 0.5001
    assert 0.5 <= ratio.min() < ratio.max() <= 2
    left, right = rows[:, 2] - rows[:, 0] / 2 + 0.5, rows[:, 2] + rows[:, 0] * 15.5 + 0.5
    assert -1e-4 < left.min() < 0.5
    assert 19.5 < right.max() < 20.001


def test_a_fraction_of_the_images_loses_a_rectangle_to_its_mean(examples, config):
    examples.images[:] = np.random.default_rng(0).integers(0, 256, (72, SIDE, SIDE, 3))
    plain = batches(examples, config(), 6)
    erased = batches(examples, config("augment.erase=0.5", "augment.erase_area=[0.1,0.3]"), 6)
    areas = []
    for (images, _), (others, _) in zip(plain, erased, strict=True):
        for image, other in zip(images, others, strict=True):
            changed = (image != other).any(2)
            if changed.any():
                rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
                box = other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                np.testing.assert_allclose(box, np.broadcast_to(image.mean((0, 1)), box.shape), rtol=1e-4)
                areas.append(box.shape[0] * box.shape[1] / SIDE**2)
    assert 0.35 < len(areas) / 144 < 0.65
    assert 0.03 <= min(areas) < max(areas) <= 0.45  # sides are whole pixels
