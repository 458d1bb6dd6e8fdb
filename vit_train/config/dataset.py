"""Which images to learn from: the keys of every data set, and those of one's own pictures."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vit_train.config.convert import key
from vit_train.errors import ConfigError

Fit = Literal["crop", "pad", "squash"]
PICTURES = ("folder", "table", "hf")  # data sets whose images are files that are fitted to a square
_OWN = {  # data sets of one's own, and what dataset.root is then
    "folder": "the folder of your pictures",
    "table": "the CSV or parquet file that lists or holds your pictures, or the folder of train.csv, test.csv",
    "hf": "the folder that save_to_disk of `datasets` wrote, one of parquet files, or hf:ORG/NAME on the Hub",
    "npz": "the .npz file with your images",
}


@dataclass(frozen=True)
class Fitting:
    """How a picture of any shape and kind becomes pixels of a given size, by the keys of the same names."""

    fit: Fit = "crop"
    pad_colour: str = "black"
    channels: int = 3


AS_IT_IS = Fitting()  # by default


@dataclass(frozen=True, kw_only=True)
class AnyDatasetConfig:
    """What every data set has."""

    own: ClassVar[Callable[..., Any] | None] = None  # a plugin's method, which gives the Dataset

    name: str = key("the data set")
    root: str | None = key(
        "folder or archive with the official files, which null looks for and then downloads; or the folder of "
        "pictures, the table that lists them, what `datasets` saved, hf:ORG/NAME, or the .npz file",
        affects_result=False,
    )
    fraction: float = key("fraction of train and test images to use, the same of every class", above=0, maximum=1)
    train_fraction: float = key(
        "fraction to learn from of what validation leaves, the same of every class; validation and test stay whole",
        absent=1.0, above=0, maximum=1,
    )  # fmt: skip
    imbalance: float = key(
        "how many times as many images the first class has to learn from as the last, of what is left then; between "
        "them they fall exponentially. 1 keeps all; validation and test stay whole",
        absent=1.0, minimum=1, below=math.inf,
    )  # fmt: skip
    validation: float | Literal["last"] = key(
        "fraction of train images held out, drawn from every class, unless the pictures have a folder val besides "
        "test; 'last' takes the last tenth as keras.io does",
        above=0, below=1,
    )  # fmt: skip
    folds: int | None = key(
        "how many folds the training images make, with those of a validation part if there is one: one fold is "
        "held out for validation in place of dataset.validation; null makes none",
        absent=None, minimum=2,
    )  # fmt: skip
    fold: int = key("which of dataset.folds is held out, counted from 0", absent=0, minimum=0)
    sampling: Literal["uniform", "balanced"] = key(
        "uniform shows every training image once an epoch, balanced as many of each class, small ones again and again",
        absent="uniform",
    )

    @property
    def fitting(self) -> Fitting:
        """How its pictures become pixels; of most data sets nothing is to be chosen."""
        return AS_IT_IS


@dataclass(frozen=True, kw_only=True)
class DatasetConfig(AnyDatasetConfig):
    """Which images to learn from."""

    name: Literal["cifar10", "cifar100", "digits", "folder", "table", "hf", "npz"] = key(
        "the data set; folder, table, hf and npz are one's own images"
    )
    max_pixels: int = key(
        "most pixels of an image file of one's own, each of which takes some 5 bytes a thread to decode",
        absent=178_956_970, minimum=1, maximum=178_956_970, affects_result=False,
    )  # fmt: skip
    channels: Literal[1, 3] = key(
        "3 shows the model red, green and blue, which are the same in a grey picture; 1 shows it grey, of colours how "
        "light they are",
        absent=3,
    )
    fit: Fit = key(
        "how a picture file becomes square: crop cuts off the longer side's ends, pad puts a colour beside the shorter "
        "side, squash changes the proportions",
        absent="crop",
    )
    pad_colour: str = key(
        "colour that dataset.fit=pad puts there, as CSS has it: black, white, grey, '#7f7f7f', 'rgb(124,116,104)', ...",
        absent="black",
    )
    cache: float | None = key(
        "gigabytes on the disk for pictures in the size that the model takes, so that large ones are decoded once, and "
        "not in each epoch; null keeps none",
        absent=None, above=0, affects_result=False,
    )  # fmt: skip
    path_column: str | None = key(
        "column of dataset=table or hf with the pictures or their paths, relative to the table; null takes path, "
        "file, image, ...",
        absent=None,
    )
    label_column: str | None = key("column with the labels; null takes label, class, category, ...", absent=None)
    split_column: str | None = key(
        "column that says train, test or val; null takes split, part, ..., if there is one", absent=None
    )
    classes: str | None = key(
        "file with the names of the classes of one's own pictures, one in a line, in the order that the model is to "
        "have; null takes the order that the data tell, or the alphabetical",
        absent=None,
    )
    group: str | None = key(
        "what must never be on two sides of a split, such as a patient or a camera: a column of dataset=table or hf, "
        "or for folder a regular expression whose match (or first group) in a file's path says it",
        absent=None,
    )
    exclude: str | None = key(
        "file that names the pictures to leave out by their paths, relative to the folder or table, or by file and row "
        "where one file holds many, such as exclude.csv of vit-runs check",
        absent=None,
    )

    @property
    def fitting(self) -> Fitting:
        """How its pictures become pixels."""
        return Fitting(self.fit, self.pad_colour, self.channels)

    def __post_init__(self) -> None:
        if self.name not in ("table", "hf"):
            for column in ("path_column", "label_column", "split_column"):
                if (value := getattr(self, column)) is not None:
                    raise ConfigError(f"dataset.{column}={value}: is for dataset=table and hf, not for {self.name}")
        if self.fit != "crop" and self.name not in PICTURES:
            raise ConfigError(
                f"dataset.fit={self.fit}: is for picture files, and dataset={self.name} has none; use crop"
            )
        if self.pad_colour != "black":
            self._require_colour()
        if self.group is not None:
            self._require_group(self.group)
        if self.cache is not None and self.name not in ("folder", "table"):
            raise ConfigError(f"dataset.cache={self.cache:g}: is for dataset=folder and table, not for {self.name}")
        for name, value in (("exclude", self.exclude), ("classes", self.classes)):
            if value is not None and self.name not in _OWN:
                raise ConfigError(f"dataset.{name}={value}: is for dataset={', '.join(_OWN)}, not for {self.name}")
        if self.name != "hf" and str(self.root).startswith("hf:"):
            raise ConfigError(f"dataset.root={self.root}: is a data set of the Hub; use dataset=hf with it")
        if self.name in _OWN and self.root is None:
            raise ConfigError(f"dataset.root=null: dataset={self.name} needs {_OWN[self.name]}; set dataset.root=PATH")
        if self.name in PICTURES and self.validation == "last":
            raise ConfigError(
                f"dataset.validation=last: the pictures of dataset={self.name} come class by class, so the last tenth "
                "is of the last classes only; give a fraction such as 0.1"
            )

    def _require_colour(self) -> None:
        from PIL import ImageColor

        if self.fit != "pad":
            raise ConfigError(f"dataset.pad_colour={self.pad_colour}: is for dataset.fit=pad, not for {self.fit}")
        try:
            opaque = len(ImageColor.getrgb(self.pad_colour)) == 3
        except ValueError:
            opaque = False
        if not opaque:
            raise ConfigError(f"dataset.pad_colour={self.pad_colour}: is no colour; give a name such as white, or such "
                              "as '#7f7f7f' or 'rgb(124,116,104)'")  # fmt: skip

    def _require_group(self, group: str) -> None:
        if self.name not in PICTURES:
            raise ConfigError(f"dataset.group={group}: is for dataset={', '.join(PICTURES)}, not for {self.name}")
        if self.name == "folder":
            try:
                re.compile(group)
            except re.error as error:
                raise ConfigError(f"dataset.group={group}: is no regular expression ({error})") from None
