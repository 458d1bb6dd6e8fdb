"""Heads that are fitted to features, against scikit-learn and formulas, and as runs."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("eagerly")

PROBE = (
    "augment=none",
    "model.dropout=0",
    "model.head_units=[]",
    "model.head_dropout=0",
    "train.cache_features=true",
)
CLOCK = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def drawn(classes, count=90, width=7, seed=0):
    """Features of some structure, float32 [N, F], and labels, int32 [N]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype="int32") % classes
    centres = rng.normal(0, 1, (classes, width))
    return (rng.normal(3, 2, (count, width)) + centres[labels]).astype("float32"), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_regression_is_at_the_minimum_of_its_formula(classes):
    """There the gradient of mean cross-entropy + l2 / 2 |kernel|^2 is 0, for features of deviation 1."""
    from vit_train.training.fitted import logistic

    features, labels = drawn(classes)
    kernel, bias = logistic(features, labels, l2=0.03)
    deviation = features.std(axis=0)
    x, kernel_of_unit = (features - features.mean(axis=0)) / deviation, kernel * deviation[:, None]
    logits = features @ kernel + bias
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gradient = x.T @ (p - np.eye(classes)[labels]) / len(x) + 0.03 * kernel_of_unit
    assert np.abs(gradient).max() < 2e-3 * np.abs(x.T @ np.eye(classes)[labels] / len(x)).max()


def neighbours(k, temperature, features, labels, asked):
    """Probabilities by scikit-learn, whose cosine distance is 1 - cosine."""
    weigh = lambda distances: np.exp((1 - distances) / temperature)  # noqa: E731
    return KNeighborsClassifier(k, metric="cosine", weights=weigh).fit(features, labels).predict_proba(asked)


def knn_layer(features, labels, classes, k):
    from vit_train.config.heads import KnnHeadConfig
    from vit_train.models.fitted import NeighbourLogits
    from vit_train.training.fitted import fit

    layer = NeighbourLogits(classes, len(features), k, 0.07)
    layer.build((None, features.shape[1]))
    fit(layer, KnnHeadConfig(name="knn", neighbours=k, temperature=0.07), 0, features, labels)
    return layer


def test_nearest_neighbours_vote_as_those_of_scikit_learn():
    features, labels = drawn(classes=3)
    asked, _ = drawn(classes=3, seed=1)
    found = np.exp(knn_layer(features, labels, 3, 5)(asked))
    np.testing.assert_allclose(found, np.maximum(neighbours(5, 0.07, features, labels, asked), 1e-6), rtol=2e-4)


def test_no_training_image_is_its_own_neighbour():
    features, labels = drawn(classes=3, count=12)
    found = np.exp(knn_layer(features, labels, 3, 5)(features, without_nearest=1))
    for place in range(12):
        others = np.arange(12) != place
        wanted = neighbours(5, 0.07, features[others], labels[others], features[[place]])
        np.testing.assert_allclose(found[[place]], np.maximum(wanted, 1e-6), rtol=2e-4)


def test_prototypes_are_means_of_unit_features():
    from vit_train.models.fitted import PrototypeLogits
    from vit_train.training.fitted import prototypes

    features, labels = drawn(classes=3)
    layer = PrototypeLogits(3, temperature=0.5)
    layer.build((None, features.shape[1]))
    layer.set_weights([prototypes(features, labels)])
    found = np.asarray(layer(features))
    for name in range(3):
        mean = np.mean([x / np.linalg.norm(x) for x in features[labels == name]], axis=0)
        cosines = [x @ mean / np.linalg.norm(x) / np.linalg.norm(mean) for x in features]
        np.testing.assert_allclose(found[:, name], np.array(cosines) / 0.5, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "head", ["logistic", *(pytest.param(each, marks=pytest.mark.slow) for each in ("knn", "prototypes"))]
)
def test_a_run_is_as_any_other(tiny, head):
    """Its model.keras gives what its predictions say, its best epoch is what the checkpoint has, and init= takes it."""
    import vit_train
    from vit_train.data.sources import load_dataset
    from vit_train.run import train
    from vit_train.runs.loading import load

    keys = ("head.l2=[1,1e-3]",) if head == "logistic" else ()
    config = tiny(*PROBE, f"head={head}", *keys)
    report = train(config)
    run = RunDir(Path(report.run_dir))
    assert report.status == "completed"
    assert report.training["epochs"] == report.training["planned_epochs"] == (2 if keys else 1)
    images = load_dataset(config).test.images
    logits = vit_train.load_model(run.model).predict_on_batch(images)
    rows = list(csv.DictReader(run.predictions.read_text().splitlines()))
    assert [int(row["top1"]) for row in rows] == logits.argmax(axis=1).tolist()
    run.model.unlink()
    again, _ = load(run)
    np.testing.assert_array_equal(again.predict_on_batch(images), logits)
    begun = train(tiny("augment=none", "model.head_units=[]", f"init={run.path}", "train.epochs=1"))
    assert begun.status == "completed"


@pytest.mark.slow
def test_a_run_that_was_stopped_between_two_fits_ends_as_an_unbroken_one(tiny, stopped, tmp_path):
    from vit_train.run import train
    from vit_train.rundir import resume

    keys = (*PROBE, "head=logistic", "head.l2=[1,1e-1,1e-3,1e-4]")
    whole = RunDir(Path(train(tiny(*keys, f"outputs={tmp_path}/whole")).run_dir))
    run = stopped(tiny(*keys))
    train(resume.load([f"resume={run.path}"]))
    for file in ("history", "predictions"):
        first, second = (
            [
                {name: value for name, value in row.items() if name not in CLOCK}
                for row in csv.DictReader(getattr(each, file).read_text().splitlines())
            ]
            for each in (whole, run)
        )
        assert first == second


@pytest.mark.slow
def test_onnx_has_the_neighbours(tiny, tmp_path):
    pytest.importorskip("tf2onnx")
    from vit_train.run import train
    from vit_train.runs.cli import run

    report = train(tiny(*PROBE, "head=knn"))
    assert run(["export", report.run_dir, "--format", "onnx", "--output", str(tmp_path / "model.onnx")]) == 0


def test_the_recipe_trains_or_leaves_out_the_dense_layers_of_a_run_s_head():
    """They would be new and frozen else, for other classes."""
    from vit_train.models.build import build_model
    from vit_train.training.groups import treatments

    run = Path(__file__).parents[1] / "golden" / "runs" / "v1" / "finished"
    probe = load_config(["experiment=probe", f"init={run}", "dataset=digits"])
    assert probe.model.head_units == (16,)
    found = treatments(probe.optimizer, build_model(probe.model, 10))
    assert {each.variable.path.split("/")[0] for each in found if each.learning_rate} == {"head_0", "logits"}
    assert load_config(["experiment=probe", f"init={run}", "head=knn"]).model.head_units == ()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["train.cache_features=false"], r"^head=knn: is fitted to features .*use experiment=probe"),
        (["model.head_units=[8]"], r"^model\.head_units=\[8\]: nothing would train these layers with head=knn"),
        (["loss.label_smoothing=0.1"], r"^loss\.label_smoothing=0.1: is for training in steps"),
        (["train.ema_decay=0.9"], r"^train\.ema_decay=0.9: is for training in steps"),
        (["head.neighbours=0"], r"^head\.neighbours=0: must be at least 1"),
        (["head=logistic", "head.l2=[]"], r"^head\.l2=\[\]: needs a strength"),
        (["head=logistic", "head.l2=[0]"], r"^head\.l2=\[0\]: must be above 0"),
        (["head=logistic", "head.neighbours=3"], r"^head\.neighbours=3: is no key of head=logistic; it is one of"),
    ],
)
def test_what_does_not_go_with_a_fitted_head_is_one_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(["dataset=digits", *PROBE, "head=knn", *keys])


def test_more_neighbours_than_images_are_refused(tiny):
    from vit_train.run import train

    with pytest.raises(ConfigError, match=r"^head\.neighbours=287: must be fewer than the 227 training images$"):
        train(tiny(*PROBE, "head=knn", "head.neighbours=287"))
