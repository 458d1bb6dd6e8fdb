import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vit_train.data import cifar
from vit_train.data.cifar import OfficialFiles, load_cifar
from vit_train.data.images import Dataset, Examples
from vit_train.errors import DataError

NAMES = ("cifar10", "cifar100")
REAL_FILES = dict(cifar.OFFICIAL)


def tiny_members(files: OfficialFiles) -> dict[str, bytes]:
    """Members as the official ones are, with four random images each and two classes."""
    random = np.random.default_rng(0)
    contents: dict[str, object] = {files.meta: {files.names_key: ["apple", "bird"]}}
    for member in (*files.train, files.test):
        planes = random.integers(0, 256, (4, 3072), dtype=np.uint8)
        contents[member] = {"data": planes, files.label_key: [1, 0, 0, 1]}
    return {member: pickle.dumps(content, protocol=2) for member, content in contents.items()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a home, a working folder and a server of its own, all of them empty."""
    for variable in ("KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name, files in REAL_FILES.items():
        url = (tmp_path / "server" / files.archive).as_uri()
        monkeypatch.setitem(cifar.OFFICIAL, name, dataclasses.replace(files, url=url))
    return tmp_path


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A tiny data set that passes for the official one called `name`."""

    name: str
    files: OfficialFiles
    members: dict[str, bytes]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for member, data in self.members.items():
            (folder / member).write_bytes(data)
        return folder

    def pack(self, archive: Path, **replaced: bytes) -> Path:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w:gz") as tar:
            for member, data in {**self.members, **replaced}.items():
                entry = tarfile.TarInfo(f"{self.files.folder}/{member}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return archive

    def check(self, dataset: Dataset) -> None:
        planes = pickle.loads(self.members[self.files.test])["data"]
        assert dataset.name == self.name
        assert dataset.class_names == ("apple", "bird")
        assert len(dataset.train) == 4 * len(self.files.train)
        assert dataset.test.labels.tolist() == [1, 0, 0, 1]
        assert dataset.test.images[2, 5, 9].tolist() == planes[2, 5 * 32 + 9 :: 1024].tolist()


def make_tiny(name: str, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    members = tiny_members(cifar.OFFICIAL[name])
    md5 = {member: hashlib.md5(members[member]).hexdigest() for member in cifar.OFFICIAL[name].md5}
    files = dataclasses.replace(cifar.OFFICIAL[name], md5=md5)
    monkeypatch.setitem(cifar.OFFICIAL, name, files)
    return Tiny(name, files, members)


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    return make_tiny(request.param, monkeypatch)


@pytest.fixture
def tiny100(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    return make_tiny("cifar100", monkeypatch)


def load_error(name: str, root: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        load_cifar(name, None if root is None else str(root))
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def layouts(files: OfficialFiles) -> dict[str, str]:
    """Each layout's folder of members or archive, relative to the place that has it."""
    return {
        "torchvision": files.folder,
        "keras": f"{files.folder}-target/{files.folder}",
        "keras, some releases": f"{files.folder}/{files.folder}",
        "itself": ".",
        "archive": files.archive,
        "archive, keras 2": f"{files.folder}.tar.gz",
        "archive, target": f"{files.folder}-target.tar.gz",
        "archive, keras 3": f"{files.folder}-target_archive",
    }


def place_in(layout: str, place: Path, tiny: Tiny, elsewhere: Path) -> None:
    """Links the data set into `place` under one of the layouts."""
    target = place / layouts(tiny.files)[layout]
    target.parent.mkdir(parents=True, exist_ok=True)
    if layout.startswith("archive"):
        target.symlink_to(tiny.pack(elsewhere / "packed.tar.gz"))
    else:
        target.symlink_to(tiny.write(elsewhere / "members"))


@pytest.mark.parametrize("layout", layouts(REAL_FILES["cifar100"]))
def test_root_in_every_layout(tiny: Tiny, layout: str, elsewhere: Path) -> None:
    place_in(layout, elsewhere / "root", tiny, elsewhere)
    tiny.check(load_cifar(tiny.name, str(elsewhere / "root")))


@pytest.mark.parametrize("layout", layouts(REAL_FILES["cifar100"]))
@pytest.mark.parametrize("place", ["home/.keras/datasets", "work/data", "home/.cache/vit-train"])
def test_usual_places_in_every_layout(tiny100: Tiny, place: str, layout: str, elsewhere: Path) -> None:
    place_in(layout, elsewhere / place, tiny100, elsewhere)
    tiny100.check(load_cifar("cifar100", None))


@pytest.mark.parametrize(("variable", "place"), [("KERAS_HOME", "datasets"), ("XDG_CACHE_HOME", "vit-train")])
def test_usual_places_can_be_moved(
    tiny100: Tiny, variable: str, place: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(elsewhere / "moved"))
    tiny100.write(elsewhere / "moved" / place / "cifar-100-python")
    tiny100.check(load_cifar("cifar100", None))


def test_keras_home_is_enough_without_a_home(tiny100: Tiny, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(elsewhere / "keras"))
    monkeypatch.setattr(Path, "expanduser", no_home)
    tiny100.write(elsewhere / "keras" / "datasets" / "cifar-100-python")
    tiny100.check(load_cifar("cifar100", None))


def no_home(path: Path) -> Path:
    """As where HOME is not set and the system does not know the user."""
    if str(path).startswith("~"):
        raise RuntimeError("Could not determine home directory.")
    return path


def test_root_is_the_archive_itself(tiny: Tiny, elsewhere: Path) -> None:
    tiny.check(load_cifar(tiny.name, str(tiny.pack(elsewhere / "any name"))))


def test_root_starts_with_a_tilde(tiny100: Tiny, elsewhere: Path) -> None:
    tiny100.write(elsewhere / "home" / "cifar-100-python")
    tiny100.check(load_cifar("cifar100", "~"))
    assert "~nobody-has-this-name/x: there is no such home folder" in load_error(
        "cifar100", Path("~nobody-has-this-name/x")
    )


def test_a_root_without_the_files_is_not_made_up_for_elsewhere(tiny: Tiny, elsewhere: Path) -> None:
    tiny.write(elsewhere / "work" / "data" / tiny.files.folder)
    tiny.pack(elsewhere / "server" / tiny.files.archive)
    message = load_error(tiny.name, elsewhere / "root")
    assert message.startswith(f"dataset={tiny.name}: its official files are not in {elsewhere / 'root'}; ")
    assert f"put {tiny.files.archive} there from {tiny.files.url}" in message
    assert f"the folder {tiny.files.folder} ({', '.join(tiny.files.md5)})" in message
    assert message.endswith("dataset=digits needs no network")


def test_what_else_may_be_in_a_data_folder_is_not_taken_for_members(tiny100: Tiny, elsewhere: Path) -> None:
    for folder in ("train", "test"):
        (elsewhere / "work" / "data" / folder).mkdir(parents=True)
    (elsewhere / "work" / "data" / "meta").touch()
    tiny100.write(elsewhere / "home" / ".cache" / "vit-train" / "cifar-100-python")
    tiny100.check(load_cifar("cifar100", None))


def serve(tiny: Tiny, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tiny.pack(elsewhere / "server" / tiny.files.archive)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(cifar.OFFICIAL, tiny.name, dataclasses.replace(tiny.files, sha256=sha256))


def test_downloads_once(tiny: Tiny, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(tiny, elsewhere, monkeypatch)
    tiny.check(load_cifar(tiny.name, None))
    assert [path.name for path in (elsewhere / "home/.cache/vit-train").iterdir()] == [tiny.files.archive]
    (elsewhere / "server" / tiny.files.archive).unlink()
    tiny.check(load_cifar(tiny.name, None))


def test_nothing_found_and_no_network(tiny: Tiny, elsewhere: Path) -> None:
    message = load_error(tiny.name, None)
    home = elsewhere / "home"
    assert f"are not in {home}/.keras/datasets, {elsewhere}/work/data, {home}/.cache/vit-train; " in message
    assert f"{tiny.files.url}: could not be downloaded" in message
    assert f"put {tiny.files.archive} into one of these places" in message
    assert message.endswith("dataset=digits needs no network")
    assert list((home / ".cache/vit-train").iterdir()) == []


@pytest.mark.parametrize("member", ["train", "test", "meta"])
@pytest.mark.parametrize("root", [None, "work/data"])
def test_a_truncated_member(tiny100: Tiny, member: str, root: str | None, elsewhere: Path) -> None:
    folder = tiny100.write(elsewhere / "work/data/cifar-100-python")
    damaged = tiny100.members[member][:-1]
    (folder / member).write_bytes(damaged)
    message = load_error("cifar100", root and elsewhere / root)
    assert f"cifar-100-python/{member}: is damaged or not the official file" in message
    assert f"(md5 {hashlib.md5(damaged).hexdigest()}, expected {tiny100.files.md5[member]})" in message
    assert f"replace it from {tiny100.files.url}" in message
    assert (folder / member).read_bytes() == damaged


def test_a_damaged_copy_is_not_passed_over_for_a_good_one(tiny100: Tiny, elsewhere: Path) -> None:
    (tiny100.write(elsewhere / "home/.keras/datasets/cifar-100-python") / "meta").write_bytes(b"")
    tiny100.write(elsewhere / "work/data/cifar-100-python")
    assert f"{elsewhere}/home/.keras/datasets/cifar-100-python/meta: is damaged" in load_error("cifar100", None)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_code_in_a_member_does_not_run(tiny100: Tiny, packed: bool, elsewhere: Path) -> None:
    marker = elsewhere / "the code ran"
    evil = pickle.dumps(Evil(marker))
    pickle.loads(evil)
    assert marker.exists()  # so it would run if it were unpickled
    marker.unlink()
    if packed:
        root = tiny100.pack(elsewhere / "evil.tar.gz", train=evil)
    else:
        root = tiny100.write(elsewhere / "evil")
        (root / "train").write_bytes(evil)
    assert f"{root / 'train'}: is damaged or not the official file" in load_error("cifar100", root)
    assert not marker.exists()


class Evil:
    """Pickles as a call that makes the file `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("layout", ["torchvision", "itself"])
def test_a_missing_member(tiny: Tiny, layout: str, elsewhere: Path) -> None:
    folder = tiny.write(elsewhere / "root" / layouts(tiny.files)[layout])
    (folder / tiny.files.test).unlink()
    message = load_error(tiny.name, elsewhere / "root")
    assert f"{folder}: is incomplete, it lacks {tiny.files.test}; replace it from {tiny.files.url}" in message


def test_an_empty_folder(tiny100: Tiny, elsewhere: Path) -> None:
    (elsewhere / "cifar-100-python").mkdir()
    assert "is incomplete, it lacks train, test, meta" in load_error("cifar100", elsewhere / "cifar-100-python")


def test_an_archive_without_a_member(tiny: Tiny, elsewhere: Path) -> None:
    del tiny.members[tiny.files.meta]
    archive = tiny.pack(elsewhere / "short.tar.gz")
    assert f"{archive}: is incomplete, it lacks {tiny.files.meta}" in load_error(tiny.name, archive)


def test_names_and_links_in_an_archive_lead_nowhere(tiny100: Tiny, elsewhere: Path) -> None:
    outside = elsewhere / "outside"
    outside.write_bytes(tiny100.members["train"])
    with tarfile.open(elsewhere / "links.tar.gz", "w:gz") as tar:
        for name in ("cifar-100-python/train", "../escaped", str(elsewhere / "absolute")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(outside)
            tar.addfile(link)
    before = sorted(elsewhere.rglob("*"))
    assert "is incomplete, it lacks train, test, meta" in load_error("cifar100", elsewhere / "links.tar.gz")
    assert sorted(elsewhere.rglob("*")) == before


def half(archive: bytes, flush: int) -> bytes:
    """The first half of what is in an archive, compressed anew."""
    tar = gzip.decompress(archive)
    compressor = zlib.compressobj(wbits=31)  # with a gzip header
    return compressor.compress(tar[: len(tar) // 2]) + compressor.flush(flush)


DAMAGE = {
    "text": lambda data: b"<html>The file has moved</html>",
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "header only": lambda data: data[:10],
    "no deflate stream": lambda data: data[:10] + b"\xff" * 99,
    "sound to a broken block": lambda data: half(data, zlib.Z_FULL_FLUSH) + b"\xff" * 99,
    "wrong checksum": lambda data: half(data, zlib.Z_FINISH)[:-8] + bytes(8),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_not_an_archive_or_half_of_one(tiny: Tiny, damage: str, elsewhere: Path) -> None:
    archive = tiny.pack(elsewhere / "root" / tiny.files.archive)
    archive.write_bytes(DAMAGE[damage](archive.read_bytes()))
    for root in (archive, archive.parent):
        message = load_error(tiny.name, root)
        assert message.startswith(f"{archive}: is damaged or not a tar.gz archive (")
        assert f"replace it from {tiny.files.url}" in message


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_one_wrong_byte_in_an_archive(tiny: Tiny, position: float, elsewhere: Path) -> None:
    archive = tiny.pack(elsewhere / tiny.files.archive)
    data = bytearray(archive.read_bytes())
    data[int(position * len(data))] ^= 1
    archive.write_bytes(data)
    assert "is damaged or not" in load_error(tiny.name, archive)


def test_a_folder_in_a_members_place_cannot_be_read(tiny: Tiny, elsewhere: Path) -> None:
    folder = tiny.write(elsewhere / tiny.files.folder)
    (folder / tiny.files.test).unlink()
    (folder / tiny.files.test).mkdir()
    message = load_error(tiny.name, elsewhere)
    assert f"{folder / tiny.files.test}: cannot be read (Is a directory); fix that" in message


@pytest.mark.parametrize("locked", ["members/test", "members", "packed.tar.gz"])
def test_permission_denied(tiny100: Tiny, locked: str, elsewhere: Path) -> None:
    tiny100.write(elsewhere / "members")
    tiny100.pack(elsewhere / "packed.tar.gz")
    (elsewhere / locked).chmod(0)
    if os.access(elsewhere / locked, os.R_OK):
        pytest.skip("this user, probably root, may read everything")
    try:
        message = load_error("cifar100", elsewhere / locked.removesuffix("/test"))
    finally:
        (elsewhere / locked).chmod(0o700)
    assert message.startswith(f"{elsewhere / locked}")
    assert "cannot be read (Permission denied)" in message


def test_take_keeps_images_with_their_labels() -> None:
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    examples = Examples(images, np.arange(4, dtype=np.int32))
    taken = examples.take(np.array([3, 0, 3]))
    assert len(taken) == 3
    assert taken.labels.tolist() == [3, 0, 3]
    assert taken.images[:, 1, 1, 2].tolist() == [3, 0, 3]
    assert taken.labels.dtype == np.int32
    taken.images[:] = 9
    assert examples.images.max() == 3


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["a pipe", "a device"])
def test_a_member_that_is_no_regular_file(tiny: Tiny, make: Callable[[Path], None], elsewhere: Path) -> None:
    member = tiny.write(elsewhere / tiny.files.folder) / tiny.files.test
    member.unlink()
    make(member)
    assert f"{member}: cannot be read (it is no regular file)" in load_error(tiny.name, elsewhere)


def test_a_member_larger_than_any_official_one_is_not_read(tiny100: Tiny, elsewhere: Path) -> None:
    os.truncate(tiny100.write(elsewhere / "cifar-100-python") / "train", 2**40)
    assert "train: cannot be read (it has 1,099,511,627,776 bytes, and at most" in load_error("cifar100", elsewhere)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.REGTYPE, "cifar-100-python/train: has 3,221,225,472 bytes, no official file has"),
        (tarfile.XHDTYPE, "is damaged or not a tar.gz archive (asks for 3221225472 bytes at once)"),
    ],
    ids=["a member", "a header"],
)
def test_an_archive_cannot_fill_the_memory(tiny100: Tiny, elsewhere: Path, kind: bytes, message: str) -> None:
    """The sizes stand in headers; what would follow them, compressed to nearly nothing, is not needed to see it."""
    entry = tarfile.TarInfo("cifar-100-python/train")
    entry.size, entry.type = 3 * 2**30, kind
    archive = elsewhere / tiny100.files.archive
    archive.write_bytes(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)))
    assert message in load_error("cifar100", archive)
