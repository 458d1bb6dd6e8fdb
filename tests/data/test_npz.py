"""Arrays in .npz files: good ones, and a corpus of broken ones."""

import io
import os
import zipfile

import numpy as np
import pytest
from data.test_folder import write_classes
from data.test_table import HEADER, rows_of, write_table

from vit_train.config.compose import load_config
from vit_train.data.images import Examples
from vit_train.data.sources import load_all
from vit_train.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 3), np.uint8)
LABELS = np.arange(60, dtype=np.uint8) % 3
KERAS = {"x_train": IMAGES[:48], "y_train": LABELS[:48, None], "x_test": IMAGES[48:], "y_test": LABELS[48:, None]}


def load(path):
    return load_all(load_config(["dataset=npz", f"dataset.root={path}"]))


def all_of(part):
    return part.read(np.arange(len(part)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_as_keras_names_them(tmp_path, save):
    save(tmp_path / "x.npz", **KERAS)
    found = load(tmp_path / "x.npz")
    assert (found.name, found.class_names, found.notes, found.train.size) == ("npz", ("0", "1", "2"), (), (6, 5))
    np.testing.assert_array_equal(all_of(found.train), IMAGES[:48])
    np.testing.assert_array_equal(all_of(found.test), IMAGES[48:])
    np.testing.assert_array_equal(found.test.labels, LABELS[48:])
    few = found.train.take(np.array([5, 3, 5])).take(np.array([2, 1]))
    np.testing.assert_array_equal(all_of(few), IMAGES[[5, 3]])
    np.testing.assert_array_equal(few.labels, LABELS[[5, 3]])
    for mine, theirs in zip(found.train.statistics(), Examples(IMAGES[:48], LABELS[:48]).statistics(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_is_not_compressed_stays_in_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", **KERAS)
    mapped = load(tmp_path / "x.npz").train.arrays[0]
    while isinstance(mapped, np.ndarray) and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)


def test_three_parts_as_medmnist_names_them_in_grey(tmp_path):
    grey = {f"{part}_images": IMAGES[start:stop, ..., 0] for part, start, stop in
            (("train", 0, 30), ("val", 30, 45), ("test", 45, 60))}  # fmt: skip
    labels = {f"{part}_labels": LABELS[start:stop] for part, start, stop in
              (("train", 0, 30), ("val", 30, 45), ("test", 45, 60))}  # fmt: skip
    np.savez(tmp_path / "x.npz", **grey, **labels)
    found = load(tmp_path / "x.npz")
    for part, rows in ((found.train, slice(30)), (found.validation, slice(30, 45)), (found.test, slice(45, 60))):
        np.testing.assert_array_equal(all_of(part), np.repeat(IMAGES[rows, ..., :1], 3, axis=-1))
    assert found.notes == (f"note: {tmp_path}/x.npz: has a part val, so that dataset.validation is of no effect",)


def test_images_alone_are_split_by_their_content(tmp_path):
    names = np.array(["cat", "dog", "bird"])[LABELS]
    order = np.random.default_rng(1).permutation(60)
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=names)
    np.savez(tmp_path / "b.npz", images=np.asfortranarray(IMAGES[order]), labels=names[order])
    a, b = load(tmp_path / "a.npz"), load(tmp_path / "b.npz")
    assert a.class_names == b.class_names == ("bird", "cat", "dog")
    assert (len(a.train), len(a.test)) == (48, 12)
    assert sorted(map(bytes, all_of(a.test))) == sorted(map(bytes, all_of(b.test)))
    assert a.notes == (f"note: {tmp_path}/a.npz: has no part test, so a fifth of each class is it",)


def test_names_of_classes_and_copies(tmp_path):
    test = IMAGES[48:].copy()
    test[1] = IMAGES[7]
    np.savez(tmp_path / "x.npz", **{**KERAS, "x_test": test, "class_names": np.array(["ant", "bee", "cow"])})
    found = load(tmp_path / "x.npz")
    assert found.class_names == ("ant", "bee", "cow")
    (note,) = found.notes
    assert note == (f"note: pictures that the training and the test set share: 1, such as {tmp_path}/x.npz: x_train[7] "
                    f"and {tmp_path}/x.npz: x_test[1]; the test figures look too good")  # fmt: skip


def header(shape, kind="|u1"):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape})
    return content.getvalue()


def saved(**arrays):
    return lambda path: np.savez(path, **(KERAS | arrays))


def forged(name, content, kind=zipfile.ZIP_STORED):
    """The good arrays, of which one has other bytes."""

    def write(path):
        np.savez(path, **{other: KERAS[other] for other in KERAS if other != name})
        with zipfile.ZipFile(path, "a", kind) as archive:
            archive.writestr(f"{name}.npy", content)

    return write


def damaged(change):
    def write(path):
        np.savez(path, **KERAS)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return write


def flipped(data):
    data[data.index(IMAGES[3].tobytes())] ^= 1
    return data


BROKEN = {
    "no file": (lambda path: None, "cannot be read (No such file or directory); fix that, or set dataset.root"),
    "a folder": (os.mkdir, "is no file; set dataset.root to the .npz file"),
    "a pipe": (os.mkfifo, "is no file; set dataset.root to the .npz file"),
    "an array": (
        lambda path: path.write_bytes(header((2, 2)) + bytes(4)),
        "is no .npz file, or a damaged one (File is not a zip",
    ),
    "cut in half": (damaged(lambda data: data[: len(data) // 2]), "is no .npz file, or a damaged one (File is not a"),
    "a flipped bit": (damaged(flipped), "is no .npz file, or a damaged one (Bad CRC-32 for file 'x_train.npy')"),
    "other names": (
        lambda path: np.savez(path, data=IMAGES, target=LABELS),
        "must have images and labels, or x_train, y_train, x_test and y_test, and has data, target; name the arrays so",
    ),
    "two names": (saved(images=IMAGES, labels=LABELS), "x_train is a second name for a part that is there; leave one"),
    "no training": (lambda path: np.savez(path, x_test=IMAGES, y_test=LABELS), "has no part train; name the images to"),
    "no labels": (
        lambda path: np.savez(path, x_train=IMAGES),
        "has x_train and no y_train, which would be its labels",
    ),
    "floats": (
        saved(x_train=IMAGES[:48].astype("float32")),
        "x_train is float32 [48, 6, 5, 3], and images are uint8 [N, height, width, 3], 0 to 255, or",
    ),
    "channels first": (saved(x_train=IMAGES[:48].transpose(0, 3, 1, 2)), "x_train is uint8 [48, 3, 6, 5], and"),
    "no images": (
        saved(x_test=IMAGES[:0], y_test=LABELS[:0]),
        "x_test is uint8 [0, 6, 5, 3], and images are",
    ),
    "two sizes": (
        saved(x_test=IMAGES[48:, :4]),
        "x_test and x_train have images of different sizes; scale",
    ),
    "a label too few": (
        saved(y_train=LABELS[:47]),
        "y_train is uint8 [47], and labels are whole numbers or names, one for each of the 48 images in x_train",
    ),
    "labels as floats": (saved(y_train=LABELS[:48] / 1), "y_train is float64 [48], and labels are whole numbers or"),
    "one-hot labels": (saved(y_train=np.eye(3, dtype=int)[LABELS[:48]]), "y_train is int64 [48, 3], and labels are"),
    "a class in training only": (
        saved(y_train=np.where(np.arange(48) < 2, 9, LABELS[:48])),
        "the part test lacks 1 of the classes, such as '9'; every part needs all of them",
    ),
    "too few names": (
        saved(class_names=np.array(["cat", "dog"])),
        "class_names is <U3 [2]; it must be text [K], and labels whole numbers from 0 to K - 1",
    ),
    "pickles": (
        saved(x_train=np.array([{}] * 48, object)),
        "x_train holds Python objects, which are pickles and can run anything; save it as an array of numbers or text",
    ),
    "2**31 rows": (
        forged("x_train", header((2**31, 32, 32, 3)) + bytes(100)),
        "x_train declares uint8 [2147483648, 32, 32, 3], and has 100 bytes, which is not that; write it again",
    ),
    "a zip bomb of 2**31 rows": (
        forged("x_train", header((2**31, 32, 32, 3)) + bytes(2**22), zipfile.ZIP_DEFLATED),
        "x_train declares uint8 [2147483648, 32, 32, 3], and has 4,194,304 bytes, which is not that; write it again",
    ),
    "a zip bomb": (
        forged("x_train", header((100_000, 32, 32, 3)) + bytes(100_000 * 32 * 32 * 3), zipfile.ZIP_DEFLATED),
        "x_train unpacks to 307,200,128 bytes, over 100 times its own, which pictures do not; if it is meant so, use",
    ),
    "an empty label": (
        saved(y_train=np.array(["cat", "dog", "", "cat"] * 12)),
        "y_train[2] is '', empty or a number with a point; labels are names or whole numbers",
    ),
    "labels of NaN": (
        saved(y_train=np.array(["cat", "nan", "dog", "cat"] * 12)),
        "y_train[1] is 'nan', empty or a number with a point; labels are names or whole numbers",
    ),
    "a header of code": (
        forged("x_train", b"\x93NUMPY\x01\x00\x20\x00" + b"{'descr': __import__('os')}".ljust(32)),
        "is no .npz file, or a damaged one (",
    ),
    "no array": (forged("x_train", b"hello"), "is no .npz file, or a damaged one ("),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_one_sentence(tmp_path, fault, refused):
    damage, message = BROKEN[fault]
    damage(tmp_path / "x.npz")
    assert refused("npz", tmp_path / "x.npz").startswith(f"{tmp_path}/x.npz: {message}")


@pytest.mark.parametrize("fault", ["2**31 rows", "a zip bomb of 2**31 rows", "a zip bomb"])
def test_what_a_file_declares_takes_no_memory(tmp_path, fault, memory_to_refuse):
    BROKEN[fault][0](tmp_path / "x.npz")
    assert memory_to_refuse("npz", tmp_path / "x.npz") < 2**25  # of 6 TiB, and of 300 MB


def test_what_is_compressed_has_to_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("vit_train.data.npz._MOST_BYTES", 2000)
    np.savez_compressed(tmp_path / "x.npz", **KERAS)
    with pytest.raises(DataError, match=r"x_train takes 0 GB, and what is compressed has to fit into 8; write it with"):
        load(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **KERAS)
    assert len(load(tmp_path / "x.npz").train) == 48


def test_every_source_gives_the_same_batches_to_the_bit(tensorflow, tmp_path):
    from data.test_arrow import parquet, table_of, write_saved  # skips without pyarrow
    from data.test_arrow import rows_of as packed_rows_of

    from vit_train.data.pipeline import training_batches

    root, small = tmp_path / "pets", ("model.image_size=8", "model.patch_size=4", "train.batch_size=4")
    for part in ("train", "test"):
        write_classes(root / part, ["cat", "dog"], 5, seed=len(part))
    write_table(root / "labels.csv", [HEADER, *rows_of(root)])
    parquet.write_table(table_of(packed_rows_of(root, "train", "test")), root / "pets.parquet")
    saved = write_saved(tmp_path / "saved", root, ("train", "test"))
    sources = (("folder", root), ("table", root / "labels.csv"), ("table", root / "pets.parquet"), ("hf", saved))
    found = [load_all(load_config([f"dataset={kind}", f"dataset.root={path}", *small])) for kind, path in sources]
    arrays = {}
    for name, part in (("train", found[0].train), ("test", found[0].test)):
        labels = np.array(found[0].class_names)[part.labels]
        arrays |= {f"x_{name}": all_of(part), f"y_{name}": labels}
    np.savez(tmp_path / "pets.npz", **arrays)
    found.append(load(tmp_path / "pets.npz"))
    config = load_config(["dataset=digits", "augment=crop", *small])
    by_folder, *others = ([*training_batches(data.train, config, 0, 6)] for data in found)
    for by_other in others:
        for mine, theirs in zip(by_folder, by_other, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())
    for data in found[1:]:
        assert data.class_names == found[0].class_names
        np.testing.assert_array_equal(all_of(data.test), all_of(found[0].test))
        np.testing.assert_array_equal(data.train.statistics(), found[0].train.statistics())
