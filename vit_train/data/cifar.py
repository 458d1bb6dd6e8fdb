"""CIFAR-10 and CIFAR-100: the official files, found, verified and read.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
The files are Python pickles, and a pickle can run any code. So each is read whole into memory, its md5 is compared with
the official one, and only those very bytes are unpickled.
"""

import gzip
import hashlib
import os
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.data.download import download
from vit_train.data.images import Dataset, Examples
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.files import cache_folder, read_regular


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """The "python version" of a data set: an archive with one folder of pickles, its members."""

    url: str
    sha256: str  # of the archive
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    label_key: str  # in the train and test members
    names_key: str  # in the meta member
    md5: dict[str, str]  # of every member

    @property
    def archive(self) -> str:
        return self.url.rpartition("/")[2]


_MOST_BYTES = 2**28  # of a member; the largest official one has 155 million

OFFICIAL = {
    "cifar10": OfficialFiles(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        folder="cifar-10-batches-py",
        train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
        test="test_batch",
        meta="batches.meta",
        label_key="labels",
        names_key="label_names",
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": OfficialFiles(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        folder="cifar-100-python",
        train=("train",),
        test="test",
        meta="meta",
        label_key="fine_labels",
        names_key="fine_label_names",
        md5={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
}


def load_cifar(name: str, root: str | None) -> Dataset:
    """Reads "cifar10" or "cifar100" (with its 100 fine labels): images uint8 [N, 32, 32, 3], N = 50,000 and 10,000.

    The files are looked for at `root` only, be it a folder or the archive. If `root` is None they are looked for where
    Keras keeps them, in ./data and in this program's cache, and are downloaded to the cache if none of these has them.

    Raises DataError if they are absent, incomplete, damaged, unreadable or cannot be downloaded.
    """
    files = OFFICIAL[name]
    try:
        contents = _read(_locate(name, root), files)
    except OSError as error:
        raise DataError(
            f"{error.filename or f'dataset={name}'}: cannot be read ({error.strerror or error}); "
            f"fix that, or name a good copy with dataset.root"
        ) from error
    return Dataset(
        name=name,
        train=_examples([contents[member] for member in files.train], files.label_key),
        test=_examples([contents[files.test]], files.label_key),
        class_names=tuple(contents[files.meta][files.names_key]),
    )


def _examples(batches: list[dict[str, Any]], label_key: str) -> Examples:
    """Joins batches whose rows are images as 3 colour planes of 32 rows of 32 pixels."""
    planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch[label_key] for batch in batches])
    return Examples(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels.astype(np.int32))


def _locate(name: str, root: str | None) -> Path:
    """The folder with the members, or the archive; downloads it if `root` is None and no usual place has it."""
    files = OFFICIAL[name]
    places = _usual_places() if root is None else [expanded(root)]
    if root is not None and places[0].is_file():
        return places[0]
    for place in places:
        if (found := _find(place, files)) is not None:
            return found
    looked = f"dataset={name}: its official files are not in {', '.join(map(str, places))}"
    advice = f"or the folder {files.folder} ({', '.join(files.md5)}) from inside it; dataset=digits needs no network"
    if root is not None:
        raise DataError(f"{looked}; put {files.archive} there from {files.url}, {advice}")
    archive = places[-1] / files.archive
    try:
        download(files.url, archive, files.sha256)
    except DataError as error:
        raise DataError(f"{looked}; {error}; put {files.archive} into one of these places, {advice}") from error
    return archive


def _usual_places() -> list[Path]:
    """Where users already have data sets; the last one, ours if there is a home, is the place to download to."""
    places = [Path.cwd() / "data"]
    with suppress(DataError):
        places.insert(0, expanded(os.environ.get("KERAS_HOME") or "~/.keras") / "datasets")
    with suppress(RuntimeError):
        places.append(cache_folder())
    return places


def _find(place: Path, files: OfficialFiles) -> Path | None:
    """The folder with the members, or else the archive, that `place` is or holds; it may turn out to be damaged."""
    folder, target = files.folder, f"{files.folder}-target"
    # torchvision unpacks in place; Keras into a new folder, named as the one inside or, in later releases, -target.
    for path in (place / folder / folder, place / folder, place / target / folder):
        if path.is_dir():
            return path
    # Two members at least: a folder called data may well have a file of its own called test.
    if (place.name == folder and place.is_dir()) or sum((place / member).is_file() for member in files.md5) >= 2:
        return place
    for name in (files.archive, f"{folder}.tar.gz", f"{target}.tar.gz", f"{target}_archive"):
        if (place / name).is_file():
            return place / name
    return None


def _read(source: Path, files: OfficialFiles) -> dict[str, dict[str, Any]]:
    """Unpickles every member of a folder or an archive, after verifying it."""
    members = _archive_members if source.is_file() else _folder_members
    contents = {}
    for member, data in members(source, files):
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found != files.md5[member]:
            problem = f"is damaged or not the official file (md5 {found}, expected {files.md5[member]})"
            raise _damage(source / member, problem, files)
        contents[member] = pickle.loads(data, encoding="latin1")
    if missing := [member for member in files.md5 if member not in contents]:
        raise _damage(source, f"is incomplete, it lacks {', '.join(missing)}", files)
    return contents


def _damage(path: Path, problem: str, files: OfficialFiles) -> DataError:
    return DataError(f"{path}: {problem}; replace it from {files.url}, or name a good copy with dataset.root")


def _folder_members(folder: Path, files: OfficialFiles) -> Iterator[tuple[str, bytes]]:
    for member in files.md5:
        try:
            data = read_regular(folder / member, _MOST_BYTES)
        except FileNotFoundError:
            continue
        yield member, data


class _Unpacked(gzip.GzipFile):
    """The tar in a tar.gz, whose headers cannot have it read all memory full."""

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes; raises tarfile.ReadError if that is none of a data set's files."""
        if size is None or not 0 <= size <= _MOST_BYTES:
            raise tarfile.ReadError(f"asks for {size} bytes at once")
        return super().read(size)


def _archive_members(archive: Path, files: OfficialFiles) -> Iterator[tuple[str, bytes]]:
    """Reads members in memory and in one pass; nothing is extracted, so no name in the archive can reach the disk."""
    members = {f"{files.folder}/{member}": member for member in files.md5}
    try:
        with _Unpacked(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as tar:
            for entry in tar:
                if entry.size > _MOST_BYTES:
                    raise _damage(archive / entry.name, f"has {entry.size:,} bytes, no official file has", files)
                if entry.isreg() and entry.name in members and (stream := tar.extractfile(entry)):
                    yield members[entry.name], stream.read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damage(archive, f"is damaged or not a tar.gz archive ({error})", files) from error
