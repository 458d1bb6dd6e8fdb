import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture
def examples():
    """100 images that hold their row number in every pixel, with the row number as label."""
    from vit_train.data.images import Examples

    rows = np.arange(100, dtype=np.uint8)
    return Examples(np.broadcast_to(rows[:, None, None, None], (100, 8, 8, 3)).copy(), rows.astype(np.int32))


@pytest.fixture
def config(tiny):
    return lambda *overrides: tiny("train.steps_per_epoch=null", "train.batch_size=32", *overrides)


def batches(examples, config, first, last):
    from vit_train.data.pipeline import training_batches

    return [(images.numpy(), labels.numpy()) for images, labels in training_batches(examples, config, first, last)]


def test_an_epoch_holds_every_example_once_with_its_label(examples, config):
    epoch = batches(examples, config(), 0, 4)
    assert [len(labels) for _, labels in epoch] == [32, 32, 32, 4]
    assert sorted(np.concatenate([labels for _, labels in epoch])) == list(range(100))
    for images, labels in epoch:
        assert images.shape[1:] == (8, 8, 3)
        np.testing.assert_allclose(images.mean((1, 2, 3)), labels, atol=1e-3)


def test_every_epoch_has_an_order_of_its_own_unless_told(examples, config):
    def orders(config):
        labels = np.concatenate([labels for _, labels in batches(examples, config, 0, 12)])
        return [order.tolist() for order in labels.reshape(3, 100)]

    a, b, c = orders(config())
    assert a != b != c
    assert a != sorted(a)
    a, b, c = orders(config("train.reshuffle=false"))
    assert a == b == c


def test_a_batch_depends_on_its_number_only(config):
    from vit_train.data.images import Examples

    generator = np.random.default_rng(0)
    examples = Examples(generator.integers(0, 256, (100, 8, 8, 3), np.uint8), generator.integers(0, 9, 100, np.int32))
    whole = batches(examples, config(), 0, 9)
    for first in (3, 8):
        for (images, labels), (same_images, same_labels) in zip(
            whole[first:], batches(examples, config(), first, 9), strict=True
        ):
            np.testing.assert_array_equal(images, same_images)
            np.testing.assert_array_equal(labels, same_labels)
    other = batches(examples, config("seed=7"), 0, 1)[0]
    assert not np.array_equal(whole[0][1], other[1])


def test_orders_are_even(examples, config):
    """Over many epochs an example stands anywhere: a chi-square of places by quarter, with 3 degrees of freedom."""
    from scipy.stats import chisquare

    labels = np.concatenate([labels for _, labels in batches(examples, config(), 0, 4 * 300)]).reshape(300, 100)
    places = np.argsort(labels, axis=1)
    p_values = [chisquare(np.bincount(places[:, row] // 25, minlength=4)).pvalue for row in range(100)]
    assert min(p_values) > 1e-5
    assert 0.35 < np.mean(p_values) < 0.65


def test_steps_of_an_epoch(config):
    from vit_train.data.pipeline import steps_per_epoch

    assert steps_per_epoch(45_000, config("train.batch_size=256")) == 176
    assert steps_per_epoch(45_000, config("train.steps_per_epoch=5")) == 5
    assert steps_per_epoch(40, config("train.steps_per_epoch=5")) == 2


def test_device_placement_leaves_images_raw(examples, config):
    from vit_train.data.pipeline import evaluation_batches, training_batches

    for dataset in (training_batches(examples, config("augment.placement=device"), 0, 1),
                    evaluation_batches(examples, config("augment.placement=device"))):  # fmt: skip
        inputs, labels = next(iter(dataset))
        assert (inputs["images"].dtype, inputs["images"].shape) == ("uint8", (32, 8, 8, 3))
        assert inputs["transforms"].shape == (32, 8)
        np.testing.assert_array_equal(inputs["images"].numpy()[:, 0, 0, 0], labels)


def test_evaluation_goes_through_all_in_order(examples, config):
    from vit_train.data.pipeline import evaluation_batches

    parts = [(images.numpy(), labels.numpy()) for images, labels in evaluation_batches(examples, config())]
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), np.arange(100))
    np.testing.assert_allclose(np.concatenate([images for images, _ in parts]), examples.images, atol=1e-4)


@pytest.mark.parametrize(("devices", "processes"), [(1, 1), (2, 1), (3, 1), (5, 1), (2, 2), (6, 3)])
@pytest.mark.parametrize("count", [1, 4, 6])
def test_short_batches_are_filled_up_for_several_devices(devices, processes, count):
    import tensorflow as tf

    from vit_train.data.parts import Part

    inputs, labels, rows = {"images": tf.reshape(tf.range(count * 2), [-1, 2])}, tf.range(count), tf.constant(count)
    parts = [Part(devices, number, processes) for number in range(processes)]
    made = [part.weighted(part.take((inputs, labels), rows), rows) for part in parts]
    if devices == 1:
        assert made[0][1] is labels
        assert len(made[0]) == 2
        return
    assert len({len(weights) for _, _, weights in made}) == 1
    found, numbers = (np.concatenate(each) for each in zip(*((x["images"], y) for x, y, _ in made), strict=True))
    weights = np.concatenate([weights for _, _, weights in made])
    assert len(weights) % devices == 0 <= len(weights) - count < devices
    np.testing.assert_array_equal(found[:, 0], numbers * 2)
    np.testing.assert_array_equal(numbers[weights > 0], labels)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(np.mean(weights * numbers), np.mean(labels), rtol=1e-6)


@pytest.mark.parametrize("arguments", [(), ("augment=basic", "augment.repeats=2"), ("augment.mixup=0.8",)])
def test_the_parts_of_several_processes_make_up_the_batch(examples, config, arguments):
    from vit_train.data.parts import Part
    from vit_train.data.pipeline import evaluation_batches, training_batches

    chosen = config(*arguments)
    for make in (lambda **part: training_batches(examples, chosen, 2, 5, **part),
                 lambda **part: evaluation_batches(examples, chosen, **part)):  # fmt: skip
        parts = [list(make(part=Part(2, number, 2)).as_numpy_iterator()) for number in (0, 1)]
        for whole, *halves in zip(make().as_numpy_iterator(), *parts, strict=True):
            for both, *half in zip(whole, *halves, strict=False):
                np.testing.assert_array_equal(np.concatenate(half), both)


def test_no_epoch_ends_with_waiting_for_the_tuning_of_its_data(examples, config):
    from vit_train.data.pipeline import evaluation_batches, training_batches

    for dataset in (training_batches(examples, config(), 0, 4), evaluation_batches(examples, config())):
        assert dataset.options().autotune.enabled is False
