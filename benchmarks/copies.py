"""How often `vit-runs check` errs: copies planted into CIFAR-100 that it misses, and strangers that it takes for one.

    python benchmarks/copies.py --root FOLDER

Each of the 10,000 test pictures is changed in the ways below and compared with itself; upside down, it has no copy
among the 50,000 training pictures, so that what is then found there is a mistake.
"""

import argparse
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from vit_train.data import lookalikes
from vit_train.data.cifar import load_cifar

Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    """Saves and reads it again."""

    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return change


def resized(side: int) -> Change:
    """Scales it to another size; thumbnails take it back."""
    return lambda image: image.resize((side, side), Image.Resampling.BICUBIC)


def brighter(factor: float, plus: float) -> Change:
    """Multiplies and adds, where 255 and 0 are the ends."""
    return lambda image: image.point(lambda value: factor * value + plus)


def shifted(x: int, y: int) -> Change:
    """Moves it; what comes in is a copy of its border."""
    return lambda image: Image.fromarray(np.pad(np.asarray(image), ((y, 0), (x, 0), (0, 0)), mode="edge")[:32, :32])


CHANGES: dict[str, Change] = {
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 30": jpeg(30),
    "resized to 24 pixels": resized(24),
    "resized to 16 pixels": resized(16),
    "resized to 64 pixels": resized(64),
    "brighter: 1.2 x + 20": brighter(1.2, 20),
    "darker: 0.5 x": brighter(0.5, 0),
    "shifted by 1 pixel": shifted(1, 0),
    "shifted by 1 pixel both ways": shifted(1, 1),
    "shifted by 2 pixels": shifted(2, 0),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def described(images: list[Image.Image]) -> lookalikes.Descriptions:
    """As `vit-runs check` describes them."""
    return lookalikes.describe(np.stack([lookalikes.thumbnail(image) for image in images]))


def main() -> None:
    """Prints a line for each change, and the strangers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="where CIFAR-100 is, as dataset.root")
    dataset = load_cifar("cifar100", parser.parse_args().root)
    images = [Image.fromarray(image) for image in dataset.test.images]
    own = described(images)
    for name, change in CHANGES.items():
        copies = described([change(image) for image in images])
        likeness = np.maximum((own * copies).sum(axis=1), (lookalikes.mirrored(own) * copies).sum(axis=1))
        print(f"{name:30} missed {np.mean(likeness < lookalikes.ALIKE):6.1%}", flush=True)
    train = described([Image.fromarray(image) for image in dataset.train.images])
    upside_down = described([image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) for image in images])
    found = lookalikes.nearest([train, upside_down])[1][0] >= 0
    print(f"{'upside down, of a stranger':30} found  {found.mean():6.2%}")


if __name__ == "__main__":
    main()
