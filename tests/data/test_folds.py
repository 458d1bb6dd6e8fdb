import numpy as np
import pytest
from data.test_folder import load_folder, write_classes
from data.test_split import examples, rows
from data.test_table import load, write_table
from sklearn.model_selection import StratifiedGroupKFold

from vit_train.config.compose import load_config
from vit_train.data.folds import distribute, together
from vit_train.data.images import Dataset
from vit_train.data.split import fold_of_each, small_class_notes, split_validation, training_and_validation
from vit_train.errors import ConfigError, DataError


def fractions(labels, parts, number):
    """float [F, K]: what each part has of each class."""
    counts = np.stack([np.bincount(labels[parts == part], minlength=labels.max() + 1) for part in range(number)])
    return counts / np.bincount(labels)


@pytest.mark.parametrize("number", [20, 60, 300])
def test_groups_stay_whole_and_classes_even_as_scikit_learn_has_them(number):
    ours, theirs = zip(*(spreads(number, seed) for seed in range(5)), strict=True)
    assert np.mean(ours) <= np.mean(theirs) + 1e-3


def spreads(number, seed):
    """How much classes differ between folds, of ours and of scikit-learn's, and that groups are whole."""
    generator = np.random.default_rng((number, seed))
    _, groups = np.unique(generator.integers(0, number, 600), return_inverse=True)
    labels = (generator.integers(0, 3, 600) + groups % 3) // 2  # groups lean to one class
    found = distribute(labels, groups, [1] * 5, generator.permutation(600))
    assert len(np.unique(np.stack([groups, found]), axis=1).T) == groups.max() + 1
    theirs = np.zeros(600, int)
    splits = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    for fold, (_, held_out) in enumerate(splits):
        theirs[held_out] = fold
    return [fractions(labels, parts, 5).std(axis=0).mean() for parts in (found, theirs)]


def test_without_groups_no_fold_is_more_than_one_image_off():
    labels = np.random.default_rng(0).integers(0, 7, 501)
    found = distribute(labels, np.arange(501), [1] * 4, np.random.default_rng(1).permutation(501))
    assert np.ptp(np.bincount(found)) <= 1
    counts = np.stack([np.bincount(labels[found == fold]) for fold in range(4)])
    assert np.ptp(counts, axis=0).max() == 1


def test_parts_have_the_sizes_asked_for_and_one_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 40, 2])
    found = distribute(labels, np.arange(142), [9, 1], np.arange(142))
    assert np.bincount(labels[found == 1]).tolist() == [10, 4, 1]
    groups = np.repeat(np.arange(71), 2)
    assert np.bincount(labels[distribute(labels, groups, [9, 1], np.arange(142)) == 1])[:2].tolist() == [10, 4]


def test_copies_link_the_groups_that_they_are_in():
    assert together(["a", "a", "b", "c", "d"], [b"1", b"2", b"2", b"3", b"4"]).tolist() == [0, 0, 0, 1, 2]
    assert together(None, [b"2", b"1", b"2"]).tolist() == [1, 0, 1]


@pytest.fixture
def dataset():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1], [30, 21]))
    groups = np.arange(51) // 2
    return Dataset("two", examples(labels), examples([0, 1]), ("a", "b"), groups=groups)


def test_each_image_is_held_out_once_and_another_seed_draws_other_folds(dataset):
    def held_out(fold, seed=1):
        options = load_config(["dataset=digits", "dataset.folds=3", f"dataset.fold={fold}"]).dataset
        training, validation = training_and_validation(dataset, options, seed)
        assert sorted(rows(training) + rows(validation)) == list(range(51))
        assert not {row // 2 for row in rows(training)} & {row // 2 for row in rows(validation)}
        return rows(validation)

    assert sorted(held_out(0) + held_out(1) + held_out(2)) == list(range(51))
    assert held_out(0) == np.flatnonzero(fold_of_each(dataset, 3, 1) == 0).tolist() != held_out(0, seed=2)


def test_the_validation_set_has_whole_groups_too(dataset):
    training, validation = split_validation(dataset, 0.2, seed=1)
    assert not {row // 2 for row in rows(training)} & {row // 2 for row in rows(validation)}
    assert abs(len(validation) - 10) <= 1


def test_a_class_in_too_few_groups_is_named():
    labels = np.repeat([0, 1], [12, 4])
    few = Dataset("few", examples(labels), examples([0, 1]), ("a", "b"), groups=np.arange(16) // 4)
    with pytest.raises(ConfigError, match=r"^dataset.folds=2: all pictures of class 'b' would be held out at once, as"):
        fold_of_each(few, 2, 0)
    with pytest.raises(ConfigError, match=r"^dataset.folds=5: there are 4 groups of pictures only; make fewer folds$"):
        fold_of_each(few, 5, 0)
    lone = Dataset("lone", examples(labels), examples([0, 1]), ("a", "b"))
    (note,) = small_class_notes(lone, 0.1, folds=5)
    assert note.startswith(
        "note: dataset.folds=5: 1 class has fewer pictures, or groups of them, than that, such as 'b'"
    )
    assert small_class_notes(lone, 0.1, folds=4) == ()
    own = Dataset("own", examples(labels), examples([0, 1]), ("a", "b"), validation=examples([0, 1]))
    with pytest.raises(
        ConfigError, match=r"^dataset.folds=2: own gives validation images of its own; have it give none"
    ):
        fold_of_each(own, 2, 0)


@pytest.fixture
def pets(tmp_path):
    """8 pictures of each of two classes, two of each animal, one of them a copy; a table of them."""
    write_classes(tmp_path, ["cat", "dog"], 8)
    (tmp_path / "cat/7.png").write_bytes((tmp_path / "cat/0.png").read_bytes())
    for path in list(tmp_path.glob("*/*")):
        path.rename(path.with_name(f"{int(path.stem) // 2}_{path.name}"))
    paths = [path.relative_to(tmp_path) for path in sorted(tmp_path.glob("*/*"))]
    table = [[path, path.parent.name, f"{path.parent.name}{path.stem[0]}"] for path in paths]
    write_table(tmp_path / "x.csv", [["path", "label", "animal"], *table])
    return tmp_path


def animal_of(path, root):
    found = path.removeprefix(f"{root}/").partition("_")[0]
    return "cat/0" if found == "cat/3" else found  # one of whose pictures is a copy of one of 0


@pytest.mark.parametrize("kind", ["table", "folder"])
def test_what_belongs_together_is_on_one_side_of_each_split(pets, kind):
    if kind == "table":
        found = load(pets / "x.csv", "dataset.group=animal", "dataset.folds=2")
    else:
        found = load_folder(pets, 8, r"dataset.group='(\w+/\d)_'", "dataset.folds=2")
    animals = [animal_of(path, pets) for path in found.train.paths]
    assert not set(animals) & {animal_of(path, pets) for path in found.test.paths}
    assert np.bincount(found.test.labels).tolist() == [2, 2]
    pairs = [(a, b) for a in range(len(animals)) for b in range(a)]
    assert all((found.groups[a] == found.groups[b]) == (animals[a] == animals[b]) for a, b in pairs)


def test_groups_on_both_sides_of_a_given_split_are_noted(pets):
    table = [[f"{name}/{row // 2}_{row}.png", name, row // 3, part] for name in ("cat", "dog") for row, part in
             enumerate(["train", "train", "test", "train", "test", "test"])]  # fmt: skip
    file = write_table(pets / "x.csv", [["path", "label", "camera", "split"], *table])
    assert ("note: groups that the training and the test set share: 2, such as '0'; the test figures look too good"
            in load(file, "dataset.group=camera").notes)  # fmt: skip


def test_the_pictures_of_a_validation_part_are_in_the_folds(tmp_path):
    for seed, (part, count) in enumerate({"train": 3, "test": 1, "val": 2}.items()):
        write_classes(tmp_path / part, ["cat", "dog"], count, seed)
    found = load_folder(tmp_path, 8, "dataset.folds=2")
    assert (len(found.train), found.validation) == (10, None)
    assert found.notes == (f"note: {tmp_path}/val is in the folds",)


def test_what_cannot_be_grouped_is_said(pets):
    table = [["path", "label", "animal"], ["cat/0_0.png", "cat", ""], ["dog/0_0.png", "dog", "1"]]
    file = write_table(pets / "y.csv", table)
    with pytest.raises(DataError, match=r"y.csv: row 2: has no group; every picture needs one, if only of its own$"):
        load(file, "dataset.group=animal")
    with pytest.raises(
        DataError, match=r"y.csv: has no column breed; .* names path, label, animal; set dataset.group$"
    ):
        load(file, "dataset.group=breed")
    with pytest.raises(
        DataError, match=r"/cat/3_6.png: has no match of dataset.group=\[0-2\]_ in its path from .* nor have 3"
    ):
        load_folder(pets, 8, "dataset.group='[0-2]_'")
    with pytest.raises(
        DataError, match=r"^class 'cat' is in too few groups of dataset.group, of which a fifth is held"
    ):
        load_folder(pets, 8, "dataset.group='cat|dog'")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.fold=1"], "dataset.fold=1: must be less than dataset.folds=null, as folds are counted from 0"),
        (
            ["dataset.folds=3", "dataset.fold=3"],
            "dataset.fold=3: must be less than dataset.folds=3, as folds are counted",
        ),
        (["dataset.folds=1"], "dataset.folds=1: must be at least 2"),
        (["dataset.group=x"], "dataset.group=x: is for dataset=folder, table, hf, not for digits"),
        (
            ["dataset=folder", "dataset.root=x", "dataset.group='('"],
            "dataset.group=(: is no regular expression (missing",
        ),
    ],
)
def test_what_the_config_must_have(overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(["dataset=digits", *overrides])
    assert str(error.value).startswith(message)
