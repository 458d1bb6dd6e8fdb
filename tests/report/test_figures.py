"""What figures show, read from matplotlib's objects: the right numbers and images in the right places."""

import csv

import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.data.images import Examples
from vit_train.data.superclasses import CIFAR100, superclasses_of
from vit_train.report.calibration import draw_reliability
from vit_train.report.canvas import mosaic, shorten
from vit_train.report.confusion import draw_confusion, order_by_confusion, write_confusion
from vit_train.report.curves import draw_curves
from vit_train.report.inside import draw_attention, draw_filters, draw_positions, patch_size
from vit_train.report.samples import draw_augmentation, draw_mistakes, draw_patches, draw_right
from vit_train.report.scores import calibration, confusion
from vit_train.training.evaluate import from_logits

pytestmark = pytest.mark.usefixtures("tensorflow")


def rows(count):
    names = ("loss", "accuracy", "top5_accuracy", "val_loss", "val_accuracy", "val_top5_accuracy", "learning_rate")
    return [{"epoch": 1 + i, **{name: (i + 1) / (3 + k) for k, name in enumerate(names)}} for i in range(count)]


@pytest.mark.parametrize("epochs", [1, 4])
def test_curves_are_the_history(epochs):
    history = rows(epochs)
    panels = {axes.get_title(): axes for axes in draw_curves(history, 1).axes}
    assert list(panels) == [
        "cross-entropy in nats",
        "accuracy",
        "top-5 accuracy",
        "learning rate of the epoch's last step",
    ]
    training, validation, best = panels["accuracy"].get_lines()
    assert (training.get_label(), validation.get_label()) == ("training", "validation")
    assert list(training.get_ydata()) == [row["accuracy"] for row in history]
    assert list(validation.get_ydata()) == [row["val_accuracy"] for row in history]
    assert list(validation.get_xdata()) == list(range(1, epochs + 1))
    assert (best.get_label(), best.get_xdata()[0]) == ("best epoch: 1", 1)


def random_predictions(classes, images=300):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(images, classes)).astype(np.float32)
    return from_logits(logits, generator.integers(0, classes, images))


def test_ten_classes_have_numbers():
    matrix = np.diag([9, 8]) + np.array([[0, 1], [2, 0]])
    axes = draw_confusion(matrix, ("cat", "a very long class name")).axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "90", (1, 0): "10", (0, 1): "20", (1, 1): "80"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "a very long class…"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_a_hundred_classes_stand_by_superclass():
    names = tuple(sorted(" ".join(CIFAR100.values()).split()))
    matrix = confusion(random_predictions(100), 100)
    axes = draw_confusion(matrix, names, superclasses_of("cifar100", names)).axes[0]
    order = [label.get_text() for label in axes.get_yticklabels()]
    assert order[:6] == ["beaver", "dolphin", "otter", "seal", "whale", "aquarium_fish"]
    assert [label.get_text() for label in axes.get_xticklabels()] == order
    row, column = order.index("tank"), order.index("tulip")
    true = matrix[names.index("tank")]
    expected = 100 * true[names.index("tulip")] / max(true.sum(), 1)
    assert axes.images[0].get_array()[row, column] == pytest.approx(expected)
    assert len(axes.patches) == 20
    assert not axes.texts


def test_many_classes_stand_beside_those_that_they_are_taken_for():
    """Blocks of classes that are confused among themselves, with their labels shuffled."""
    kinds = np.random.default_rng(0).permutation(np.repeat(np.arange(6), 4))
    matrix = 50 * np.eye(24, dtype=int) + 10 * (kinds[:, None] == kinds) + (np.arange(24) == 3)
    order = order_by_confusion(matrix)
    assert sorted(order) == list(range(24))
    assert np.count_nonzero(np.diff(kinds[order])) == 5
    names = [f"class {index}" for index in range(24)]
    axes = draw_confusion(matrix, names).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [names[index] for index in order]
    matrix[5] = 0  # a class without images
    assert sorted(order_by_confusion(matrix)) == list(range(24))


def test_the_matrix_is_a_file_too(tmp_path):
    write_confusion(np.array([[9, 1], [2, 8]]), ("=cat", "dog, wolf"), tmp_path / "confusion.csv")
    rows = list(csv.reader((tmp_path / "confusion.csv").read_text().splitlines()))
    assert rows == [["true class", "'=cat", "dog, wolf"], ["'=cat", "9", "1"], ["dog, wolf", "2", "8"]]


def test_curves_differ_without_colour():
    training, validation, _ = draw_curves(rows(3), 1).axes[0].get_lines()
    for look in ("linestyle", "marker"):
        assert getattr(training, f"get_{look}")() != getattr(validation, f"get_{look}")()


def test_the_reliability_diagram_has_the_bins():
    found = calibration(random_predictions(4))
    upper, lower = draw_reliability(found).axes
    heights = np.array([bar.get_height() for bar in upper.patches[:15]])
    np.testing.assert_array_equal(heights, found.accuracy)
    tops = [bar.get_y() + bar.get_height() for bar in upper.patches[15:]]
    np.testing.assert_allclose(tops, found.confidence)
    assert sum(bar.get_height() for bar in lower.patches) == pytest.approx(1)


def marked(count):
    """Images that can be told apart: image i is of colour i."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return Examples(images, np.zeros(count, np.int32))


@pytest.mark.parametrize("draw", [draw_right, draw_mistakes])
def test_an_image_stands_beside_its_labels(draw):
    found, names = random_predictions(3, images=200), ("ant", "bee", "cow")
    test = Examples(marked(200).images, found.labels)
    shown, certainty = [], []
    for axes in draw(found, test, names).axes:
        index = int(axes.images[0].get_array()[0, 0, 0])
        true, guess = names[found.labels[index]], names[found.top[index, 0]]
        assert axes.get_title() == f"#{index} {true}\n→ {guess} {found.confidence[index]:.0%}"
        assert (true == guess) == (draw is draw_right)
        shown.append(index)
        certainty.append(found.confidence[index])
    assert len(set(shown)) == 24
    assert certainty == sorted(certainty, reverse=True)


def test_without_mistakes_there_is_no_such_figure():
    perfect = from_logits(9 * np.eye(3, dtype=np.float32), np.arange(3))
    assert draw_mistakes(perfect, marked(3), ("a", "b", "c")) is None
    assert len([axes for axes in draw_right(perfect, marked(3), ("a", "b", "c")).axes if axes.images]) == 3


def test_patches_are_pieces_of_the_image():
    prepared = np.random.default_rng(0).uniform(0, 255, (6, 6, 3)).astype(np.float32)
    drawn = draw_patches(np.zeros((4, 5, 3), np.uint8), prepared, 3)
    pieces = drawn.axes[2].images[0].get_array()
    assert pieces.shape == (7, 7, 3)
    np.testing.assert_allclose(pieces[:3, 4:], prepared[:3, 3:] / 255, rtol=1e-6)
    assert (pieces[3] == 1).all()
    assert drawn.axes[0].get_title() == "as read: 5 by 4 pixels"


def test_augmentation_varies_each_image_in_its_row():
    config = load_config(["dataset=digits", "model.image_size=8", "model.patch_size=4"])
    images = marked(4).read(np.arange(4))
    images[..., 1] = np.random.default_rng(0).integers(0, 256, images.shape[:3])  # or nothing would vary
    drawn = draw_augmentation(Examples(images, np.zeros(4, np.int32)), config)
    colours = np.array([axes.images[0].get_array()[0, 0, 0] * 255 for axes in drawn.axes]).reshape(4, 8)
    np.testing.assert_allclose(colours, np.arange(4)[:, None] * np.ones((1, 8)), atol=1e-4)
    assert draw_augmentation(marked(4), load_config(["dataset=digits", "augment=none", "model.image_size=8",
                                                     "model.patch_size=4"])) is None  # fmt: skip


def test_mixed_images_stay_in_the_row_of_their_larger_part():
    config = load_config(["dataset=digits", "augment=none", "augment.mixup=1", "augment.repeats=2",
                          "model.image_size=8", "model.patch_size=4"])  # fmt: skip
    images = np.broadcast_to(np.uint8([0, 50, 100, 200])[:, None, None, None], (4, 8, 8, 3))
    drawn = draw_augmentation(Examples(images, np.zeros(4, np.int32)), config)
    values = np.array([axes.images[0].get_array()[0, 0, 0] * 255 for axes in drawn.axes]).reshape(4, 8)
    np.testing.assert_allclose(values[:, 0], [0, 50, 100, 200])
    np.testing.assert_allclose(values.sum(0), 350, rtol=1e-5)  # each image gives its partner what it loses
    assert len(np.unique(values[:, 1:])) > 20  # blends
    assert values[0].max() <= 100.01
    assert values[3].min() >= 99.99


def test_a_network_that_is_no_transformer_has_no_such_figures():
    import keras

    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    assert (patch_size(network), draw_filters(network), draw_positions(network)) == (None, None, None)
    assert draw_attention(network, np.zeros((2, 8, 8, 3), np.float32), ["a", "b"]) is None


@pytest.mark.parametrize("kind", ["learned", "sincos", "none"])
def test_positions_are_compared_with_all_others(kind):
    from vit_train.models.build import build_model

    size = (
        "model.image_size=8",
        "model.patch_size=2",
        "model.projection_dim=8",
        "model.depth=1",
        "model.head_units=[]",
    )
    network = build_model(
        load_config([*size, f"model.position_embedding={kind}", "model.pooling=class_token", "model.heads=2"]).model, 3
    )
    drawn = draw_positions(network)
    if kind == "none":
        assert drawn is None
        return
    maps = drawn.axes[0].images[0].get_array().filled(np.nan)
    assert maps.shape == (19, 19)
    table = np.asarray(network.get_layer("embedding").positions)[1:]
    a, b = table[1 * 4 + 2], table[3 * 4 + 0]  # row 1, column 2; row 3, column 0
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert maps[1 * 5 + 3, 2 * 5 + 0] == pytest.approx(cosine, abs=1e-6)


def test_tiles_have_gaps_and_names_an_end():
    tiles = np.arange(3.0)[:, None, None] * np.ones((1, 2, 2))
    grid = mosaic(tiles, 2)
    assert grid.shape == (5, 5)
    assert (grid[0, 0], grid[0, 3], grid[3, 0]) == (0, 1, 2)
    assert np.isnan(grid[2]).all()
    assert np.isnan(grid[3:, 3:]).all()
    assert (shorten("x" * 18), shorten("x" * 19)) == ("x" * 18, "x" * 17 + "…")
