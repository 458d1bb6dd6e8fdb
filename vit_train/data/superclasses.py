"""The 20 superclasses of CIFAR-100, five classes each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Superclasses:
    """names: of the superclasses. index: int [classes], the superclass of each class."""

    names: tuple[str, ...]
    index: npt.NDArray[np.int64]


# As in the official files: `coarse_label_names` of meta, and which fine label goes with which coarse one in the rows.
CIFAR100 = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


def superclasses_of(dataset: str, class_names: Sequence[str]) -> Superclasses | None:
    """The superclasses of a data set's classes; None if it has none."""
    if dataset != "cifar100":
        return None
    of = {fine: number for number, members in enumerate(CIFAR100.values()) for fine in members.split()}
    return Superclasses(tuple(CIFAR100), np.array([of[name] for name in class_names]))
