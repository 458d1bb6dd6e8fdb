"""Parquet files and what `datasets` saves: good ones, and a corpus of broken ones."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from data.test_folder import load_folder, write_classes
from PIL import Image

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError, DataError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GOLDEN = Path(__file__).parents[1] / "golden" / "hf"  # `datasets` wrote it: tests/parity/saved_by_datasets.py
NAMES = ["cat", "dog"]
PICTURES = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Pictures of two classes in train (3 each), test (2) and val (1)."""
    for number, (part, count) in enumerate({"train": 3, "test": 2, "val": 1}.items()):
        write_classes(tmp_path / "pets" / part, NAMES, count, seed=number)
    return tmp_path / "pets"


def rows_of(folder, *parts):
    """The pictures of some parts as `datasets` has them: bytes, path, label."""
    return [
        {"image": {"bytes": path.read_bytes(), "path": path.name}, "label": NAMES.index(path.parent.name),
         "split": path.parent.parent.name}
        for part in parts for path in sorted((folder / part).glob("*/*"))
    ]  # fmt: skip


def table_of(rows, names=NAMES, picture=PICTURES, label=None):
    """An Arrow table with the metadata of `datasets`, unless `names` is None."""
    told = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}}}
    schema = pa.schema(
        {"image": picture, "label": label or pa.int64(), "split": pa.string()},
        {} if names is None else {"huggingface": json.dumps(told)},
    )
    return pa.Table.from_pylist(rows, schema)


def write_hub(root, folder, **options):
    """A repository with two shards of training."""
    (root / "data").mkdir(parents=True)
    train = table_of(rows_of(folder, "train"), **options)
    for name, table in (
        ("train-00000-of-00002", train.slice(0, 4)), ("train-00001-of-00002", train.slice(4)),
        ("test-00000-of-00001", table_of(rows_of(folder, "test"), **options)),
        ("validation-00000-of-00001", table_of(rows_of(folder, "val"), **options)),
    ):  # fmt: skip
        parquet.write_table(table, root / "data" / f"{name}.parquet", row_group_size=3)
    return root


def write_saved(root, folder, parts=("train", "test", "val"), **options):
    """As `DatasetDict.save_to_disk`."""
    for part in parts:
        (root / part).mkdir(parents=True)
        write_stream(root / part / "data-00000-of-00001.arrow", table_of(rows_of(folder, part), **options))
        (root / part / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    return root


def write_stream(file, table, options=None):
    with pa.ipc.new_stream(file, table.schema, options=options) as stream:
        stream.write_table(table, max_chunksize=4)


def load(kind, root, *overrides):
    return load_all(load_config([f"dataset={kind}", f"dataset.root={root}", "model.image_size=8", "model.patch_size=4",
                                 *overrides]))  # fmt: skip


def require_equal(found, expected):
    for mine, theirs in ((found.train, expected.train), (found.test, expected.test),
                         (found.validation, expected.validation)):  # fmt: skip
        np.testing.assert_array_equal(mine.labels, theirs.labels)
        np.testing.assert_array_equal(mine.read(np.arange(len(mine))), theirs.read(np.arange(len(theirs))))
        np.testing.assert_array_equal(mine.statistics(), theirs.statistics())


@pytest.mark.parametrize("write", [write_hub, write_saved])
def test_a_folder_of_files_is_the_same_data_set_as_the_pictures(folder, tmp_path, write):
    found, expected = load("hf", write(tmp_path / "hf", folder)), load_folder(str(folder), 8)
    require_equal(found, expected)
    assert (found.name, found.class_names, found.fingerprint) == ("hf", ("cat", "dog"), expected.fingerprint)
    few = found.train.take(np.array([5, 3, 5])).take(np.array([2, 1]))
    np.testing.assert_array_equal(few.read(np.arange(2)), expected.train.read(np.array([5, 3])))


@pytest.mark.parametrize(("picture", "label"), [
    (PICTURES, pa.dictionary(pa.int8(), pa.string())), (pa.binary(), pa.string()), (pa.large_binary(), None),
])  # fmt: skip
def test_one_file_with_a_column_of_parts(folder, tmp_path, picture, label):
    rows = rows_of(folder, "train", "test", "val")
    for row in rows:
        row["image"] = row["image"]["bytes"] if picture != PICTURES else row["image"]
        row["label"] = row["label"] if label is None else NAMES[row["label"]]
    parquet.write_table(table_of(rows, None, picture, label), tmp_path / "x.parquet")
    found = load("table", tmp_path / "x.parquet")
    require_equal(found, load_folder(str(folder), 8))
    assert found.class_names == (("0", "1") if label is None else ("cat", "dog"))


def test_paths_in_parquet_are_as_those_in_csv(folder):
    files = sorted(folder.glob("*/*/*"))
    columns = {"path": [str(file.relative_to(folder)) for file in files], "label": [file.parent.name for file in files],
               "split": [file.parent.parent.name for file in files]}  # fmt: skip
    parquet.write_table(pa.table(columns), folder / "x.parquet")
    found = load("table", folder / "x.parquet")
    require_equal(found, load_folder(str(folder), 8))
    files[2].unlink()
    with pytest.raises(DataError, match=rf"x.parquet: row 2: there is no file {files[2]}; paths are relative"):
        load("table", folder / "x.parquet")


@pytest.mark.parametrize("kind", ["disk", "hub"])
def test_what_datasets_has_written(kind):
    found = load("hf", GOLDEN / kind)
    assert found.class_names == ("dog", "cat")  # as they were told, and not in alphabetical order
    assert found.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    # Picture number n is of one colour, (40 * n, 255 - 40 * n, 7), and is a PNG.
    expected = np.array([(40 * n, 255 - 40 * n, 7) for n in range(6)])
    np.testing.assert_array_equal(found.train.read(np.arange(6))[:, 4, 4], expected)
    np.testing.assert_array_equal(found.test.read(np.arange(2))[:, 4, 4], expected[2:4])


@pytest.mark.slow
def test_what_the_installed_datasets_writes(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    for part, name in (("train", "train"), ("test", "test"), ("val", "validation")):
        rows = [{"image": row["image"], "label": row["label"]} for row in rows_of(folder, part)]
        written = datasets.Dataset.from_list(rows, features=features)
        written.save_to_disk(tmp_path / "disk" / name, num_shards=2)
        written.to_parquet(tmp_path / "hub" / f"{name}.parquet")
    for kind in ("disk", "hub"):
        require_equal(load("hf", tmp_path / kind), load_folder(str(folder), 8))


def test_files_of_other_parts_are_left_out(folder, tmp_path):
    write_hub(tmp_path / "hf", folder)
    parquet.write_table(table_of([]), tmp_path / "hf" / "data" / "extra.parquet")
    found = load("hf", tmp_path / "hf")
    assert f"note: files left out: 1, such as {tmp_path}/hf/data/extra.parquet; their names" in found.notes[0]


def test_memory_has_some_rows_of_a_large_file(tmp_path):
    from vit_train.data.arrow import read_arrow
    from vit_train.data.packed import Stores

    content = np.random.default_rng(0).bytes(100_000)
    parquet.write_table(pa.table({"image": [content] * 400, "label": ["x"] * 400}), tmp_path / "x.parquet",
                        use_dictionary=False, write_batch_size=10)  # fmt: skip
    usual, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        with Stores() as stores:
            found = read_arrow(tmp_path / "x.parquet", {"path": None, "label": None}, stores)
            copies = stores.all()
        peak = counted.max_memory()
    finally:
        pa.set_memory_pool(usual)
    assert 1e6 < peak < 20e6  # of 40 MB
    store, start, length = found.places[399]
    assert copies[store][start : start + length].tobytes() == content


def test_without_pyarrow_its_extra_is_named(monkeypatch, tmp_path):
    (tmp_path / "x.parquet").touch()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"x.parquet: needs the package pyarrow; pip install 'vit-train\[parquet\]'$"):
        load("table", tmp_path / "x.parquet")


def one_row(**other):
    """Writes the good file with something else in row 3."""

    def write(folder, file):
        rows = rows_of(folder, "train", "test")
        rows[3] |= other
        parquet.write_table(table_of(rows), file)

    return write


def as_table(change):
    return lambda folder, file: parquet.write_table(change(table_of(rows_of(folder, "train", "test"))), file)


def as_bytes(change):
    def write(folder, file):
        one_row()(folder, file)
        file.write_bytes(change(file.read_bytes()))

    return write


def declaring(rows):
    """The file with other numbers for its 10 rows, which stand in the footer as zigzag integers of Thrift."""

    def change(data):
        length = int.from_bytes(data[-8:-4], "little")
        number, value = b"", 2 * rows
        while value > 127:
            number, value = number + bytes([value & 127 | 128]), value >> 7
        footer = data[-8 - length : -8].replace(b"\x16\x14", b"\x16" + number + bytes([value]))
        return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"

    return change


def picture_of(content):
    return {"bytes": content, "path": "x.png"}


def as_floats(table):
    return table.set_column(1, "label", table["label"].cast("float64"))


def bomb(megabytes, rows):
    """A picture of zeros, compressed to some kilobytes; in a dictionary, if it is small enough, for many rows."""

    def write(folder, file):
        table = pa.table({"image": [bytes(megabytes * 2**20)] * rows, "label": ["x"] * rows})
        parquet.write_table(table, file, compression="zstd", dictionary_pagesize_limit=2**24)

    return write


def named_by(table, names):
    """With these names as labels, over and over, in place of the numbers of classes; bytes are taken for UTF-8."""
    column = pa.array((names * len(table))[: len(table)], pa.binary()).view(pa.string())
    return table.set_column(1, "label", column).replace_schema_metadata(None)


def pathed(table, *paths):
    """With paths in place of pictures."""
    return table.slice(0, len(paths)).set_column(0, "path", pa.array(paths))


# How a good file is broken, and how the sentence goes on after its path.
BROKEN = {
    "no file": (lambda folder, file: None, ": there is no such file; set dataset.root"),
    "a folder": (lambda folder, file: file.mkdir(), ": is a folder; name the file, or use dataset=folder"),
    "a pipe": (lambda folder, file: os.mkfifo(file), ": is no file; set dataset.root"),
    "nothing": (lambda folder, file: file.touch(), ": is damaged, or no parquet file (Parquet file size is 0 bytes"),
    "cut in half": (as_bytes(lambda data: data[: len(data) // 2]), ": is damaged, or no parquet file (Parquet magic"),
    "zeros": (as_bytes(lambda data: data[:50] + bytes(300) + data[350:]), ": "),
    "a CSV file": (as_bytes(lambda data: b"path,label\n" * 9), ": is damaged, or no parquet file (Parquet magic bytes"),
    "2**31 rows": (as_bytes(declaring(2**31)), ": declares 2,147,483,648 rows, and at most 100,000,000 are read; "),
    "a bomb of one picture": (bomb(300, 1), ": unpacks to 314,572,911 bytes or more, over 100"),
    "a bomb of one picture in many rows": (bomb(1, 300), ": unpacks to 285,212,672 bytes or more, over 100"),
    "more rows than there are": (as_bytes(declaring(99)), ": "),
    "two classes of one name": (
        lambda folder, file: parquet.write_table(table_of(rows_of(folder, "train"), ["cat", "cat"]), file),
        ": two classes of its column label have one name; rename one of them",
    ),
}  # fmt: skip
# The same of a good table, whatever file holds it.
BROKEN_ROWS = {
    "an empty label": (
        as_table(lambda table: named_by(table, ["cat", "dog", "", "dog"])),
        ": row 2: its label '' is empty or a number with a point; labels are names or whole numbers (and in",
    ),
    "labels of NaN": (
        as_table(lambda table: named_by(table, ["cat", "dog", "nan"])),
        ": row 2: its label 'nan' is empty or a number with a point; labels are names or whole numbers (and in",
    ),
    "labels in Latin-1": (
        as_table(lambda table: named_by(table, ["cat", b"chien n\xe9"])),
        ": is damaged, or no {kind} file (",
    ),
    "a path outside": (
        as_table(lambda table: pathed(table, "/etc/passwd")),
        ": row 0: /etc/passwd is outside of {folder}; paths are relative to the table, so put it beside the",
    ),
    "a path above": (as_table(lambda table: pathed(table, "../x.png")), ": row 0: ../x.png is outside of {folder}; "),
    "a missing file": (
        as_table(lambda table: pathed(table, "x.png")),
        ": row 0: there is no file {folder}/x.png; paths are relative to the table",
    ),
    "a file twice": (
        as_table(lambda table: pathed(table, "x.png", "./x.png")),
        ": row 1: ./x.png is in row 0, too; remove one of them",
    ),
    "no pictures": (
        as_table(lambda table: table.drop_columns("image")),
        ": has no column called path, file, filename, file_name, filepath, file_path, image, image_path, img; it names",
    ),
    "pictures as lists": (
        as_table(lambda table: table.set_column(0, "image", pa.array([[1, 2]] * 10))),
        ": its column image holds list<element: int64>, where text, or bytes of pictures must be; set",
    ),
    "no labels": (as_table(lambda table: table.rename_columns(["image", "breed", "split"])), ": has no column called"),
    "labels as floats": (as_table(as_floats), ": its column label holds double, where text or whole numbers must be; "),
    "a null label": (one_row(label=None), ": row 3: its label '' is none of 0 to 1, the numbers of the classes; corre"),
    "a label too high": (one_row(label=2), ": row 3: its label '2' is none of 0 to 1, the numbers of the classes"),
    "no label": (one_row(label=-1), ": row 3: its label '-1' is none of 0 to 1, the numbers of the classes; correct"),
    "a null picture": (one_row(image=None), ": row 3: has no picture in it; remove the row or, if it has a path"),
    "a path alone": (one_row(image={"bytes": None, "path": "x.png"}), ": row 3: has no picture in it; remove the row"),
    "no picture": (one_row(image=picture_of(b"hello world")), ": row 3: is not a JPEG, PNG, WebP, BMP, GIF"),
    "an empty picture": (one_row(image=picture_of(b"")), ": row 3: is empty, it has 0 bytes; replace or remove it"),
    "half a picture": (
        as_table(lambda table: halved(table)),
        ": row 3: is damaged or cut short (",
    ),
    "an unknown part": (one_row(split="holdout"), ": row 3: 'holdout' is no part; it must be one of train, training,"),
    "no rows": (as_table(lambda table: table.slice(0, 0)), ": has no rows; add one for each picture"),
    "other metadata": (
        as_table(lambda table: table.replace_schema_metadata({"huggingface": "[]"})),
        ": what `datasets` says in it of the column label makes no sense; write it again with `datasets`",
    ),
}  # fmt: skip


def halved(table):
    rows = table.to_pylist()
    rows[3]["image"]["bytes"] = rows[3]["image"]["bytes"][:90]
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize("fault", BROKEN | BROKEN_ROWS)
def test_a_broken_file_is_one_sentence(folder, tmp_path, fault, refused):
    damage, message = (BROKEN | BROKEN_ROWS)[fault]
    damage(folder, tmp_path / "x.parquet")
    sentence = refused("table", tmp_path / "x.parquet")
    assert sentence.startswith(f"{tmp_path}/x.parquet{message.format(folder=tmp_path, kind='parquet')}")


@pytest.mark.parametrize("fault", BROKEN_ROWS)
def test_broken_rows_that_datasets_saved_are_one_sentence(folder, tmp_path, fault, refused):
    damage, message = BROKEN_ROWS[fault]
    damage(folder, tmp_path / "x.parquet")
    saved, file = tmp_path / "saved", tmp_path / "saved/data-00000-of-00001.arrow"
    saved.mkdir()
    write_stream(file, parquet.read_table(tmp_path / "x.parquet"))
    (saved / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    named = saved if message.startswith(": has no rows") else file
    assert refused("hf", saved).startswith(f"{named}{message.format(folder=saved, kind='arrow')}")


@pytest.mark.parametrize("fault", ["2**31 rows", "a bomb of one picture", "a bomb of one picture in many rows"])
def test_what_a_file_declares_takes_no_memory(folder, tmp_path, fault, memory_to_refuse):
    BROKEN[fault][0](folder, tmp_path / "x.parquet")
    assert memory_to_refuse("table", tmp_path / "x.parquet") < 2**26  # of 300 MB


def test_what_is_copied_has_no_name(folder, tmp_path, refused):
    one_row(image=picture_of(b""))(folder, tmp_path / "x.parquet")
    refused("table", tmp_path / "x.parquet")
    assert not any((tmp_path / "cache" / "vit-train").iterdir())


def in_saved(change):
    def write(folder, root):
        write_saved(root, folder)
        change(root)

    return write


def compressed(root):
    file = root / "test" / "data-00000-of-00001.arrow"
    rows = pa.ipc.open_stream(file.read_bytes()).read_all().to_pylist()
    for row in rows:
        row["image"]["bytes"] += bytes(9999)  # what does not get smaller is not compressed
    write_stream(file, table_of(rows), pa.ipc.IpcWriteOptions(compression="lz4"))


def with_offsets_outside(root):
    """The second picture of a batch begins before the first one ends, and ends far behind the file."""
    file = root / "test" / "data-00000-of-00001.arrow"
    data = bytearray(file.read_bytes())
    sizes = [len(row["image"]["bytes"]) for row in pa.ipc.open_stream(file).read_all().to_pylist()[:2]]
    place = data.index(np.array([0, sizes[0], sum(sizes)], np.int32).tobytes())
    data[place + 8 : place + 12] = np.int32(2**30).tobytes()
    file.write_bytes(data)


def cut(file, fraction=2):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // fraction])


BROKEN_FOLDERS = {
    "nothing": (lambda folder, root: None, ": is no folder; set dataset.root to what save_to_disk wrote"),
    "an empty folder": (lambda folder, root: root.mkdir(), ": holds nothing that save_to_disk of `datasets` wrote"),
    "no state": (
        in_saved(lambda root: cut(root / "train/state.json")),
        "/train/state.json: does not tell the files of the data set; write it again with save_to_disk, or use parquet",
    ),
    "a missing file": (
        in_saved(lambda root: (root / "test/data-00000-of-00001.arrow").unlink()),
        "/test/data-00000-of-00001.arrow: there is no such file; set dataset.root",
    ),
    "an empty file": (
        in_saved(lambda root: (root / "test/data-00000-of-00001.arrow").write_bytes(b"")),
        "/test/data-00000-of-00001.arrow: is damaged, or no arrow file (",
    ),
    "half a file": (
        in_saved(lambda root: cut(root / "test/data-00000-of-00001.arrow")),
        "/test/data-00000-of-00001.arrow: ",
    ),
    "offsets that lead outside": (in_saved(with_offsets_outside), "/test/data-00000-of-00001.arrow: is damaged, or no"),
    "compressed": (in_saved(compressed), "/test/data-00000-of-00001.arrow: is compressed; write it with save_to_disk,"),
    "a missing shard": (
        lambda folder, root: (write_hub(root, folder) / "data/train-00001-of-00002.parquet").unlink(),
        "/data: has 1 of the 2 files train-*-of-00002.parquet; get all of them",
    ),
    "other classes": (
        lambda folder, root: parquet.write_table(
            table_of(rows_of(folder, "train"), ["dog", "cat"]), write_hub(root, folder) / "data/train.parquet"
        ),
        "/data/train.parquet: has other classes, or pictures in another form, than {root}/data/train-00000-of-00002.",
    ),
    "no training": (
        lambda folder, root: write_saved(root, folder, ["test", "val"]),
        ": has no part train; name the images to learn from so",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN_FOLDERS)
def test_a_broken_folder_is_one_sentence(folder, tmp_path, fault, refused):
    damage, message = BROKEN_FOLDERS[fault]
    damage(folder, tmp_path / "hf")
    assert refused("hf", tmp_path / "hf").startswith(f"{tmp_path}/hf{message.format(root=tmp_path / 'hf')}")


def test_the_pictures_are_decoded_as_files_are(tmp_path):
    """An orientation of EXIF, transparency and 16 bits."""
    generator, files = np.random.default_rng(0), []
    turned = Image.new("RGB", (9, 5))
    turned.getexif()[0x0112] = 6
    for number, image in enumerate([
        Image.fromarray(generator.integers(0, 2**16, (9, 12)).astype(np.uint16)),
        Image.fromarray(generator.integers(0, 256, (9, 12, 4), np.uint8)), turned,
        Image.fromarray(generator.integers(0, 256, (40, 30, 3), np.uint8)),
    ]):  # fmt: skip
        content = io.BytesIO()
        image.save(content, "TIFF" if number == 2 else "PNG", **({"exif": image.getexif()} if number == 2 else {}))
        files.append(content.getvalue())
    for part in ("train", "test"):
        for number, content in enumerate(files):
            file = tmp_path / "pets" / part / NAMES[number % 2] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    found = load("hf", write_saved(tmp_path / "hf", tmp_path / "pets", ["train", "test"]))
    expected = load_folder(str(tmp_path / "pets"), 8)
    np.testing.assert_array_equal(found.train.read(np.arange(4)), expected.train.read(np.arange(4)))
