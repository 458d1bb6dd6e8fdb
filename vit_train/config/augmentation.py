"""The keys `augment.*`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vit_train.config.convert import key, show
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training images are varied; docs/augmentation.md has the operations of each policy, and their order."""

    own: ClassVar[Callable[..., Any] | None] = None  # a plugin's method, which varies an image before all else

    flip: bool = key("mirror left to right in half of the draws")
    rotation: float = key("largest rotation to either side, in full turns", minimum=0, maximum=0.5)
    zoom: float = key("largest zoom of height and of width, each drawn alone, as a fraction", minimum=0, below=1)
    shear: float = key("largest shear along either axis, as a slope", absent=0.0, minimum=0, maximum=1)
    translate: float = key(
        "largest shift along either axis, as a fraction of the side", absent=0.0, minimum=0, maximum=1
    )
    crop_padding: int = key(
        "pixels by which images, mirrored beyond their borders, are shifted at most before they are resized",
        absent=0,
        minimum=0,
    )
    crop_scale: tuple[float, ...] = key(
        "random resized crop: smallest and largest fraction of the image's area; [1,1] does not crop",
        absent=[1.0, 1.0],
        above=0,
        maximum=1,
    )
    crop_ratio: tuple[float, ...] = key(
        "random resized crop: smallest and largest ratio of width to height", absent=[0.75, 1.3333], above=0
    )
    source_size: int | None = key(
        "side in pixels at which training pictures are read from their files, up to twice model.image_size, so that a "
        "random resized crop stays sharp; null reads them at model.image_size",
        absent=None,
        minimum=1,
    )
    policy: Literal["none", "trivial", "rand", "auto_cifar"] = key(
        "TrivialAugmentWide, RandAugment or AutoAugment's table for CIFAR, with torchvision's operations and ranges, "
        "bilinear, and mirrored beyond the border",
        absent="none",
    )
    num_ops: int = key("RandAugment: operations for each image", absent=2, minimum=1, maximum=8)
    magnitude: float = key(
        "RandAugment: strength, 10 is the strongest; 3 is what torchvision calls 9 of 30",
        absent=9.0,
        minimum=0,
        maximum=10,
    )
    magnitude_std: float = key("RandAugment: standard deviation of the strength", absent=0.5, minimum=0)
    erase: float = key(
        "fraction of the draws in which a rectangle is filled with the image's mean colour",
        absent=0.0,
        minimum=0,
        maximum=1,
    )
    erase_area: tuple[float, ...] = key(
        "smallest and largest area of that rectangle, as a fraction of the image's",
        absent=[0.02, 0.33],
        above=0,
        maximum=1,
    )
    erase_ratio: tuple[float, ...] = key(
        "smallest and largest ratio of width to height of that rectangle", absent=[0.3, 3.3], above=0
    )
    repeats: int = key(
        "how often an image is in a batch, varied anew; an epoch stays as long and has fewer images",
        absent=1,
        minimum=1,
    )
    mixup: float = key("alpha of mixup's beta distribution; 0 does not blend images", absent=0.0, minimum=0)
    cutmix: float = key("alpha of CutMix' beta distribution; 0 does not paste images", absent=0.0, minimum=0)
    mix_probability: float = key("fraction of the batches that are mixed", absent=1.0, minimum=0, maximum=1)
    mix_switch: float = key(
        "fraction of the mixed batches with CutMix, if there is mixup, too", absent=0.5, minimum=0, maximum=1
    )
    mix_off_epochs: int = key("epochs at the end in which no batch is mixed", absent=0, minimum=0)
    placement: Literal["host", "device"] = key(
        "vary images in tf.data on the CPU, or in front of the model on the accelerator"
    )

    @property
    def crops(self) -> bool:
        """Whether there is a random resized crop."""
        return self.crop_scale != (1, 1)

    @property
    def varies(self) -> bool:
        """Whether an image of one epoch is another in the next."""
        amounts = (self.rotation, self.zoom, self.shear, self.translate, self.crop_padding, self.erase)
        return self.own is not None or self.flip or self.crops or self.mixes or self.policy != "none" or any(amounts)

    @property
    def mixes(self) -> bool:
        """Whether targets are mixed: float32 [B, K] in training."""
        return self.mix_probability > 0 and (self.mixup > 0 or self.cutmix > 0)

    def __post_init__(self) -> None:
        for name in ("crop_scale", "crop_ratio", "erase_area", "erase_ratio"):
            values = getattr(self, name)
            if len(values) != 2 or values[0] > values[1]:
                raise ConfigError(f"augment.{name}={show(values)}: must be two numbers, the smaller one first")
        if self.crop_padding and self.crops:
            raise ConfigError(
                f"augment.crop_padding={self.crop_padding}: does not go with the random resized crop of "
                f"augment.crop_scale={show(self.crop_scale)}; set one of them to 0 or [1,1]"
            )
