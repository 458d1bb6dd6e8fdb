"""What a model says of pictures, for `vit-runs predict` and for `vit_train.predict`."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from vit_train.config.dataset import Fitting
from vit_train.data.folder import SUFFIXES
from vit_train.data.image_files import fitted, read_image_file
from vit_train.errors import DataError
from vit_train.rundir.unknown import rule_of, scores_of

if TYPE_CHECKING:
    Picture: TypeAlias = str | os.PathLike[str] | npt.NDArray[np.uint8]
Images: TypeAlias = npt.NDArray[np.uint8]

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a model says of N pictures.

    pictures: their paths; of arrays, which they are of all that was given, such as "array 0".
    class_names: of the K classes, in the order of the columns.
    probabilities: float32 [N, K], in [0, 1].
    scores: float32 [N], by which a model with a rule for unknown pictures tells whether one is of none of its classes.
    unknown: bool [N], whether it is. Both are None without such a rule.
    """

    pictures: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None = None
    unknown: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def classes(self) -> tuple[str, ...]:
        """The likeliest class of each picture."""
        return tuple(self.class_names[label] for label in self.probabilities.argmax(axis=1))

    def top(self, count: int | None = None) -> list[list[tuple[str, float]]]:
        """The `count` likeliest classes of each, or all if that is None: (name, probability), the best first."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[label], float(row[label])) for label in labels]
            for row, labels in zip(self.probabilities, order, strict=True)
        ]


def predict(model: Any, pictures: "Picture | Iterable[Picture]") -> Predicted:
    """What a model of `vit_train.load_model` says of pictures; raises DataError for the first that cannot be read."""
    from vit_train.models.preprocessing import class_names_of

    found = []
    for batch in batches(model, pictures):
        if isinstance(batch, DataError):
            raise batch
        found.append(batch)
    if not found:
        names = class_names_of(model)
        return _predicted(model, (), np.empty((0, len(names)), np.float32))
    scores, unknown = (
        None if found[0].scores is None else np.concatenate([getattr(batch, column) for batch in found])
        for column in ("scores", "unknown")
    )
    probabilities = np.concatenate([batch.probabilities for batch in found])
    pictures = tuple(name for batch in found for name in batch.pictures)
    return Predicted(pictures, found[0].class_names, probabilities, scores, unknown)


def batches(model: Any, pictures: "Picture | Iterable[Picture]") -> Iterator[Predicted | DataError]:
    """The same by and by, and between them an error for each picture that cannot be read."""
    for found in images_of(model, pictures):
        if isinstance(found, DataError):
            yield found
        else:
            logits = model.predict_on_batch(np.stack([image for _, image in found]))
            yield _predicted(model, tuple(name for name, _ in found), np.asarray(logits))


def _predicted(model: Any, pictures: tuple[str, ...], logits: npt.NDArray[np.float32]) -> Predicted:
    from keras import ops

    from vit_train.models.preprocessing import class_names_of

    found = Predicted(pictures, class_names_of(model), np.asarray(ops.softmax(logits)))
    if (rule := rule_of(model)) is None or not pictures:
        return found
    scores = scores_of(rule.score, logits)
    return replace(found, scores=scores, unknown=rule.refuses(scores))


def images_of(model: Any, pictures: "Picture | Iterable[Picture]") -> Iterator[list[tuple[str, Images]] | DataError]:
    """Batches of pictures' names and images as the model takes them, and between them errors."""
    from vit_train.models.preprocessing import fitting_of

    _, height, width, _ = model.input_shape
    return _read(pictures, height, width, fitting_of(model))


def _read(
    pictures: "Picture | Iterable[Picture]", height: int, width: int, fitting: Fitting
) -> Iterator[list[tuple[str, Images]] | DataError]:
    """Batches of pictures' names and images, uint8 [height, width, C], and between them errors."""
    batch: list[tuple[str, Images]] = []
    for number, picture in enumerate(_each(pictures)):
        try:
            batch.append(_image(picture, number, height, width, fitting))
        except DataError as error:
            yield error
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _each(pictures: Any) -> Iterator[Any]:
    """Paths of files, of a folder those in it, however deep, that have a picture's suffix, in sorted order; arrays."""
    if isinstance(pictures, str | os.PathLike):
        path = Path(pictures)
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        yield from inside if path.is_dir() and inside else [path]
    elif isinstance(pictures, np.ndarray) and pictures.ndim != 4:
        yield pictures
    elif isinstance(pictures, Iterable):
        for each in pictures:
            yield from _each(each)
    else:
        yield pictures


def _image(picture: Any, number: int, height: int, width: int, fitting: Fitting) -> tuple[str, Images]:
    """(name, uint8 [height, width, C]) of a picture; raises DataError if it is none."""
    if isinstance(picture, Path):
        if picture.is_dir():
            raise DataError(f"{picture}: has no picture in it; they end in {' '.join(sorted(SUFFIXES))}")
        return str(picture), read_image_file(picture, height, width, fitting=fitting)
    name = f"array {number}"
    if not isinstance(picture, np.ndarray):
        raise DataError(f"{name}: is {type(picture).__name__}; a picture is a path, or an array as numpy has them")
    if picture.dtype != np.uint8 or picture.shape[2:] not in ((3,), (1,), ()) or picture.ndim < 2 or not picture.size:
        shape = ", ".join(map(str, picture.shape))
        raise DataError(f"{name}: is {picture.dtype} [{shape}]; a picture is uint8 [H, W, 3], RGB from 0 to 255, or "
                        "grey without the 3")  # fmt: skip
    pixels = picture[..., 0] if picture.shape[2:] == (1,) else picture
    return name, fitted(Image.fromarray(pixels), height, width, fitting)
