"""A model.keras, read so that a file that comes from elsewhere takes no more than its own size and runs nothing."""

import zipfile
from pathlib import Path
from typing import IO, Any

import keras

import vit_train.models.build
import vit_train.models.preprocessing  # noqa: F401, both register the layers that a file refers to

_MOST_UNPACKED = 10  # times what it has on the disk


def load(path: Path) -> keras.Model:
    """The model of a file, from uint8 images [B, H, W, 3] to float32 logits [B, classes]; not compiled.

    Raises OSError, ValueError or another error of Keras for what is none.
    """
    _require_bounded(path)
    return keras.saving.load_model(path, compile=False)


def _require_bounded(path: Path) -> None:
    """Raises OSError or ValueError for a pipe, which would never end, and for what unpacks to far more than it has.

    HDF5 has a compression of its own, inside of the archive's.
    """
    if not path.is_file():
        raise OSError("it is no regular file")
    with zipfile.ZipFile(path) as archive:
        most = _MOST_UNPACKED * path.stat().st_size
        unpacked = sum(entry.file_size for entry in archive.infolist())
        for entry in archive.infolist() if unpacked <= most else ():
            if entry.filename.endswith(".h5"):
                with archive.open(entry) as weights:
                    unpacked += _bytes_of_weights(weights)
    if unpacked > most:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, though Keras stores models as they are")


def _bytes_of_weights(weights: IO[bytes]) -> int:
    """How many bytes all arrays of an HDF5 file say that they have."""
    import h5py

    sizes: list[int] = []

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)

    with h5py.File(weights, "r") as file:
        file.visititems(count)
    return sum(sizes)
