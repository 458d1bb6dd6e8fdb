import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.data.split import small_class_notes, split_validation, take_fraction
from vit_train.errors import ConfigError, DataError


def load_folder(root, side, *overrides):
    return load_all(load_config(["dataset=folder", f"dataset.root='{root}'", f"model.image_size={side}",
                                 "model.patch_size=4", *overrides]))  # fmt: skip


def write_picture(path, seed):
    """Noise of some size; another seed is another picture."""
    generator = np.random.default_rng(seed)
    size = (*generator.integers(5, 20, 2), 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(path)


def write_classes(root, names, count, seed=0):
    for number, name in enumerate(names):
        for row in range(count):
            write_picture(root / name / f"{row}.png", (seed, number, row))


def contents(part):
    return [Path(path).read_bytes() for path in part.paths]


@pytest.fixture
def parts(tmp_path):
    """A folder with 3 train and 2 test pictures of each of two classes."""
    write_classes(tmp_path / "train", ["cat", "dog"], 3)
    write_classes(tmp_path / "test", ["cat", "dog"], 2, seed=1)
    return tmp_path


@pytest.fixture
def single(tmp_path):
    """A folder with 12 pictures of each of two classes."""
    write_classes(tmp_path, ["cat", "dog"], 12)
    return tmp_path


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("training", "testing"), ("train", "val"), ("pets/v2/train", "pets/v2/valid")],
)
def test_parts_have_other_usual_names_too(tmp_path, train, test):
    write_classes(tmp_path / train, ["cat", "dog"], 3)
    write_classes(tmp_path / test, ["cat", "dog"], 2, seed=1)
    dataset = load_folder(str(tmp_path), 8)
    assert dataset.train.paths[0] == f"{tmp_path}/{train}/cat/0.png"
    assert dataset.test.paths.tolist() == [
        f"{tmp_path}/{test}/{name}/{row}.png" for name in ("cat", "dog") for row in (0, 1)
    ]
    said = [f"note: the pictures are read from {tmp_path}/pets/v2, the only folder in {tmp_path}"] * ("pets" in train)
    if "val" in test:
        said.append(
            f"note: there is no folder test in {(tmp_path / test).parent}, so {tmp_path / test} is the test set"
        )
    assert list(dataset.notes) == said


def test_a_train_folder_alone_is_split(tmp_path):
    write_classes(tmp_path / "train", ["cat", "dog"], 10)
    dataset = load_folder(str(tmp_path), 8)
    assert (len(dataset.train), len(dataset.test), dataset.class_names) == (16, 4, ("cat", "dog"))


def test_a_train_folder_beside_others_is_split_and_this_is_said(tmp_path):
    write_classes(tmp_path / "train", ["cat", "dog"], 10)
    write_picture(tmp_path / "test/1.png", 5)  # without classes
    (tmp_path / "model").mkdir()
    dataset = load_folder(str(tmp_path), 8)
    assert (len(dataset.train), len(dataset.test), dataset.class_names) == (16, 4, ("cat", "dog"))
    split, left_out = dataset.notes
    assert split == f"note: there is no test set in {tmp_path}, so a fifth of each class in {tmp_path}/train is it"
    assert left_out.startswith(f"note: files or folders left out: 2, such as {tmp_path}/model; only JPEG")


def test_a_validation_folder_beside_a_test_folder_is_the_validation_set(parts):
    before = load_folder(str(parts), 8)
    write_classes(parts / "valid", ["cat", "dog"], 2, seed=2)
    shutil.copy(parts / "train/cat/0.png", parts / "valid/cat/9.png")
    shutil.copy(parts / "test/dog/1.png", parts / "valid/dog/9.png")
    dataset = load_folder(str(parts), 8)
    training, validation = split_validation(dataset, 0.5, seed=0)
    assert (dataset.train.paths.tolist(), dataset.test.paths.tolist()) == (
        before.train.paths.tolist(), before.test.paths.tolist()
    )  # fmt: skip
    assert training is dataset.train
    assert [path.removeprefix(f"{parts}/valid/") for path in validation.paths] == [
        "cat/0.png", "cat/1.png", "cat/9.png", "dog/0.png", "dog/1.png", "dog/9.png"
    ]  # fmt: skip
    assert validation.labels.tolist() == [0] * 3 + [1] * 3
    assert small_class_notes(dataset, 0.5) == ()
    assert dataset.notes[0] == (
        f"note: {parts}/valid is the validation set, so that dataset.validation is of no effect"
    )
    assert [note.split(":")[1].strip() for note in dataset.notes[1:]] == [
        "pictures that the training and the validation set share",
        "pictures that the validation and the test set share",
    ]
    assert dataset.fingerprint != before.fingerprint
    half = take_fraction(dataset, 0.34, seed=0)
    assert half.validation.labels.tolist() == [0, 1]


def test_one_folder_may_be_around_the_classes_and_around_their_pictures(tmp_path):
    """As in Tiny ImageNet."""
    for part in ("train/images", "val/images"):
        write_classes(tmp_path / part, ["cat", "dog"], 2, seed=len(part))
    (tmp_path / "train/images/cat").rename(tmp_path / "pictures")
    (tmp_path / "train/images/cat").mkdir()
    (tmp_path / "pictures").rename(tmp_path / "train/images/cat/pictures")
    (tmp_path / "train/images/cat/boxes.txt").touch()
    dataset = load_folder(str(tmp_path), 8)
    assert dataset.class_names == ("cat", "dog")
    assert [path.removeprefix(f"{tmp_path}/train/images/") for path in dataset.train.paths] == [
        "cat/pictures/0.png", "cat/pictures/1.png", "dog/0.png", "dog/1.png"
    ]  # fmt: skip
    assert dataset.notes[-1].startswith(f"note: files or folders left out: 1, such as {tmp_path}/train/images/cat/box")


def test_train_and_test_folders(parts):
    dataset = load_folder(str(parts), 8)
    assert (dataset.class_names, dataset.notes) == (("cat", "dog"), ())
    for part, folder, count in ((dataset.train, "train", 3), (dataset.test, "test", 2)):
        files = [f"{parts}/{folder}/{name}/{row}.png" for name in ("cat", "dog") for row in range(count)]
        assert part.paths.tolist() == files
        assert part.labels.tolist() == [0] * count + [1] * count
        assert (part.size, part.read(np.array([1])).shape) == ((8, 8), (1, 8, 8, 3))


def test_without_a_test_folder_a_fifth_of_each_class_is_it(single):
    dataset = load_folder(str(single), 8)
    assert (len(dataset.train), dataset.test.labels.tolist()) == (20, [0, 0, 1, 1])
    assert len({*contents(dataset.train), *contents(dataset.test)}) == 24


def test_the_fifth_depends_on_the_pictures_only(single):
    before = load_folder(str(single), 8)
    tested = set(contents(before.test))
    for number, path in enumerate(sorted(single.glob("*/*"), reverse=True)):
        path.rename(path.with_name(f"new {number}.png"))
    after = load_folder(str(single), 8)
    assert set(contents(after.test)) == tested
    assert after.fingerprint != before.fingerprint  # the order is another


def test_statistics_are_those_of_the_pictures(single):
    train = load_folder(str(single), 8).train
    pixels = train.read(np.arange(len(train))).reshape(-1, 3).astype(float)
    mean, variance = train.statistics()
    np.testing.assert_allclose(mean, pixels.mean(0))
    np.testing.assert_allclose(variance, pixels.var(0))


def test_names_in_any_language(tmp_path):
    """A test folder that writes é as e and an accent is of the same class."""
    names = ["café", "Ελλάδα", "猫", "with space"]
    write_classes(tmp_path / "train", names, 1)
    write_classes(tmp_path / "test", [unicodedata.normalize("NFD", name) for name in names], 1, seed=1)
    dataset = load_folder(str(tmp_path), 8)
    assert dataset.class_names == tuple(sorted(names))
    assert dataset.test.labels.tolist() == [0, 1, 2, 3]
    assert "café" in dataset.test.paths[dataset.class_names.index("café")].replace("e\u0301", "é")


def test_clutter_is_passed_over_and_the_rest_is_noted(parts):
    for clutter in (".DS_Store", "train/.hidden/0.png", "train/cat/Thumbs.db", "__MACOSX/0.png", "test/dog/._0.png"):
        (parts / clutter).parent.mkdir(exist_ok=True)
        (parts / clutter).write_bytes(b"\0")
    assert load_folder(str(parts), 8).notes == ()
    (parts / "old/cat").mkdir(parents=True)
    (parts / "train/cat/labels.csv").touch()
    dataset = load_folder(str(parts), 8)
    (note,) = dataset.notes
    assert note.startswith(f"note: files or folders left out: 2, such as {parts}/old; only JPEG, PNG")
    assert len(dataset.train) == 6


def test_copies_are_noted(parts):
    for a, b in (("train/cat/0", "test/cat/9"), ("train/dog/1", "train/cat/8"), ("train/dog/2", "train/dog/7")):
        shutil.copy(parts / f"{a}.png", parts / f"{b}.png")
    both, classes, twice = (note.replace(f"{parts}/", "") for note in load_folder(str(parts), 8).notes)
    assert both == ("note: pictures that the training and the test set share: 1, such as train/cat/0.png and "
                    "test/cat/9.png; the test figures look too good")  # fmt: skip
    assert classes == ("note: pictures that two classes share: 1, such as train/cat/8.png and train/dog/1.png; one of "
                       "the labels is wrong")  # fmt: skip
    assert twice == ("note: pictures that the training set has twice: 2, such as train/cat/8.png and train/dog/1.png; "
                     "validation may see what was trained on")  # fmt: skip


def test_copies_are_split_off_together(single):
    for path in list(single.glob("*/*")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    dataset = load_folder(str(single), 8)
    assert (len(dataset.train), len(dataset.test)) == (40, 8)
    assert not set(contents(dataset.train)) & set(contents(dataset.test))


# What is done to a good folder with train and test, and how the sentence begins that comes of it.
FAULTS = {
    "no root": (shutil.rmtree, "{root}: cannot be read (No such file or directory); fix that; dataset.root must hold"),
    "root is a file": (
        lambda root: (shutil.rmtree(root), root.touch()),
        "{root}: is a file and no folder; unpack it if it is an archive; dataset.root must hold train/CLASS/* and",
    ),
    "no class": (
        lambda root: [shutil.rmtree(path) for path in root.glob("train/*")],
        "{root}/train: has no class folder; two or more class folders are needed: dataset.root must hold train/CLASS/*",
    ),
    "one class": (
        lambda root: [shutil.rmtree(path) for path in root.glob("*/cat")],
        "{root}/train: has one class folder, 'dog'; two or more class folders are needed",
    ),
    "empty class": (
        lambda root: [path.unlink() for path in root.glob("train/cat/*")],
        "{root}/train/cat: has no JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC file; add pictures or remove",
    ),
    "class without a test": (
        lambda root: write_picture(root / "train/bird/0.png", 7),
        "{root}/test: lacks 1 of the classes in {root}/train, such as 'bird'; both need the same",
    ),
    "class in test only": (
        lambda root: write_picture(root / "test/bird/0.png", 7),
        "{root}/train: lacks 1 of the classes in {root}/test, such as 'bird'; both need the same",
    ),
    "classes are one deeper, or pictures": (
        lambda root: [(root / old).rename(root / new) for old, new in (("test", "two"), ("train", "one"))],
        "{root}/one: has 2 folders and no picture, such as cat and dog; if they are classes, put them beside the",
    ),
    "files in place of classes": (
        lambda root: (shutil.rmtree(root / "train"), (root / "train").mkdir(), (root / "train/cats.tar").touch()),
        "{root}/train: has no class folder, and 1 file, such as cats.tar; two or more class folders are needed",
    ),
    "two names of one part": (
        lambda root: write_classes(root / "Testing", ["cat", "dog"], 1, seed=7),
        "{root}: has both Testing and test, which are names of one part; put their pictures into one, or move",
    ),
    "class without a validation": (
        lambda root: write_picture(root / "val/dog/0.png", 7),
        "{root}/val: has one class folder, 'dog'; two or more",
    ),
    "class in validation only": (
        lambda root: write_classes(root / "val", ["bird", "cat", "dog"], 1, seed=7),
        "{root}/train: lacks 1 of the classes in {root}/val, such as 'bird'; both need the same",
    ),
    "folder in a class": (
        lambda root: (root / "train/cat/more").mkdir(),
        "{root}/train/cat/more: is a folder where only pictures belong",
    ),
    "link to a folder above": (
        lambda root: (root / "train/cat/up").symlink_to(root),
        "{root}/train/cat/up: is a folder where only pictures belong",
    ),
    "one name in two forms": (
        lambda root: [write_picture(root / f"train/{name}/0.png", 7) for name in ("é", "e\u0301")],
        "{root}/train/é: is the same name, written in another way in Unicode, as that of a folder beside it",
    ),
    "name in Latin-1": (
        lambda root: write_picture(Path(os.fsdecode(bytes(root / "train") + b"/caf\xe9")) / "0.png", 7),
        "'{root}/train/caf\\udce9': its name is not UTF-8; rename the folder",
    ),
    "empty file": (
        lambda root: (root / "test/dog/1.png").write_bytes(b""),
        "{root}/test/dog/1.png: is empty, it has 0 bytes; replace or remove it",
    ),
    "text": (
        lambda root: (root / "test/dog/1.JPG").write_text("not a picture"),
        "{root}/test/dog/1.JPG: is not a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC picture; replace or remove it",
    ),
    "cut picture": (
        lambda root: os.truncate(root / "test/dog/1.png", 200),
        "{root}/test/dog/1.png: is damaged or cut short (",
    ),
    "broken link": (
        lambda root: (root / "test/dog/2.png").symlink_to("nowhere"),
        "{root}/test/dog/2.png: cannot be read (No such file or directory); fix that, replace or remove the file",
    ),
    "link to itself": (
        lambda root: (root / "test/dog/2.png").symlink_to("2.png"),
        "{root}/test/dog/2.png: cannot be read (Too many levels of symbolic links); fix that",
    ),
    "name of a file in Latin-1": (
        lambda root: Path(os.fsdecode(bytes(root) + b"/test/dog/\xe9.png")).touch(),
        "{root}/test/dog/\udce9.png: is empty",
    ),
}


def tree(root):
    """All there is, links not followed."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_deletes_nothing(parts, fault):
    damage, message = FAULTS[fault]
    damage(parts)
    before = tree(parts)
    with pytest.raises(DataError) as error:
        load_folder(str(parts), 8)
    assert str(error.value).replace("e\u0301", "é").startswith(message.format(root=parts))
    assert "\n" not in str(error.value)
    assert tree(parts) == before


def test_a_class_of_one_picture_cannot_be_split(single):
    write_picture(single / "bird/0.png", 7)
    shutil.copy(single / "bird/0.png", single / "bird/1.png")
    with pytest.raises(DataError, match=r"^class 'bird' has one picture only, and a fifth of each class is held out"):
        load_folder(str(single), 8)


def test_all_bad_files_are_shown(single, capsys):
    bad = sorted(single.glob("*/*"))[:5]
    for path in bad:
        path.write_bytes(b"")
    with pytest.raises(DataError) as error:
        load_folder(str(single), 8)
    assert str(error.value) == f"{bad[0]}: is empty, it has 0 bytes; replace or remove it (bad files in all: 5)"
    shown = capsys.readouterr().err
    assert all(f"{path}: is empty" in shown for path in bad[1:])


def test_a_picture_of_more_pixels_than_allowed_is_named(parts):
    with pytest.raises(DataError, match=r"is too large \([\d,]+ pixels to decode, above the limit of 24\)"):
        load_folder(str(parts), 8, "dataset.max_pixels=24")


@pytest.mark.parametrize("root", ["s3://bucket/pictures", "https://example.org/pictures.zip"])
def test_an_address_is_no_folder(root):
    with pytest.raises(DataError, match=f"^dataset.root={root}: is an address; download what is there"):
        load_folder(root, 8)


def test_no_such_home():
    with pytest.raises(DataError, match=r"^~nobody here/x: there is no such home folder; give the full path"):
        load_folder("~nobody here/x", 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("place", [".", "train", "train/cat", "train/cat/0.png"])
def test_without_permission(parts, place):
    (parts / place).chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
            load_folder(str(parts), 8)
    finally:
        (parts / place).chmod(0o700)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.root=null", "dataset.root=null: dataset=folder needs the folder of your pictures; set dataset.root="),
        ("dataset.validation=last", "dataset.validation=last: the pictures of dataset=folder come class by class"),
    ],
)
def test_what_the_config_must_have(override, message):
    with pytest.raises(ConfigError) as error:
        load_config(["dataset=folder", "dataset.root=x", override])
    assert str(error.value).startswith(message)
