"""What belongs to a network besides its weights: its statistics, the way in for raw images, and its class names."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from vit_train.config.dataset import AS_IT_IS, Fit, Fitting
from vit_train.config.models import ModelConfig
from vit_train.data.images import ImageSource
from vit_train.rundir.unknown import Rule, Score

register = keras.saving.register_keras_serializable(package="vit_train")


def set_statistics(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    """Gives the network's Normalization layer the mean and variance of each channel, [C], on the scale [0, 255]."""
    layer = network.get_layer("normalization")
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()


def normalize_for(network: keras.Model, config: ModelConfig, training: ImageSource) -> None:
    """Gives a new network the statistics that its config has, or those of its training images."""
    if config.mean is None or config.std is None:
        set_statistics(network, *training.statistics())
    else:
        set_statistics(network, 255 * np.array(config.mean, "float32"), (255 * np.array(config.std, "float32")) ** 2)


def with_preprocessing(
    network: keras.Model, source: tuple[int, int], class_names: Sequence[str], fitting: Fitting = AS_IT_IS
) -> keras.Model:
    """The network for raw images: uint8 [B, height, width, C] of the data set's own size -> float32 logits [B, K].

    `source` is (height, width), to which picture files were fitted as `fitting` says. Weights are those of `network`.
    """
    images = keras.Input((*source, network.input_shape[-1]), dtype="uint8", name="images")
    size, how = network.input_shape[1], (fitting.fit, fitting.pad_colour)
    x = Resize(size, *how, dtype="float32", name="resize")(images)
    logits = ClassNames(class_names, dtype="float32", name="class_names")(network(x))
    return keras.Model(images, logits, name=network.name)


@register
class Resize(keras.layers.Layer):
    """Images [B, H, W, C] of any type -> [B, size, size, C] of the layer's own, bilinear.

    Keras' Resizing gives back the type it is given, so uint8 images would be rounded. And its `training` is true by
    default, which, where the model is called without that argument, reaches the dropout layers after it.

    `fit` and `pad_colour` are kept for those who read picture files for the model: by then it has been done.
    """

    def __init__(self, size: int, fit: Fit = "crop", pad_colour: str = "black", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.fit, self.pad_colour = size, fit, pad_colour

    def call(self, x_BHWC: Any) -> Any:
        x_BHWC = keras.ops.cast(x_BHWC, self.compute_dtype)
        return keras.ops.image.resize(x_BHWC, (self.size, self.size), data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "fit": self.fit, "pad_colour": self.pad_colour}


@register
class ClassNames(keras.layers.Layer):
    """Passes logits [B, K] on as they are.

    It keeps the name of each class, in order, in the model's file, and there may be a rule for what is none of them.
    """

    def __init__(self, names: Sequence[str], unknown: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.unknown = Rule(**unknown) if unknown else None

    def call(self, logits_BK: Any) -> Any:
        return logits_BK

    def get_config(self) -> dict[str, Any]:
        unknown = {"unknown": dataclasses.asdict(self.unknown)} if self.unknown else {}
        return {**super().get_config(), "names": list(self.names), **unknown}


@register
class ImageScore(keras.layers.Layer):
    """Logits [B, K] -> the scores that a rule for unknown images looks at, float32 [B], as `scores_of` has them."""

    def __init__(self, score: Score, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score = score

    def call(self, logits_BK: Any) -> Any:
        highest = keras.ops.max(logits_BK, axis=1)
        log_sum = keras.ops.log(keras.ops.sum(keras.ops.exp(logits_BK - highest[:, None]), axis=1))
        return keras.ops.exp(-log_sum) if self.score == "confidence" else highest + log_sum

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score}


def fitting_of(model: keras.Model) -> Fitting:
    """How picture files are fitted to the images that such a model takes."""
    layer = model.get_layer("resize")
    return Fitting(layer.fit, layer.pad_colour, model.input_shape[-1])


def class_names_of(model: keras.Model) -> tuple[str, ...]:
    """The name of each class, in the order of the logits; raises ValueError for a model without them."""
    names: tuple[str, ...] = model.get_layer("class_names").names
    return names


def network_of(model: keras.Model) -> keras.Model:
    """The network inside a model that `with_preprocessing` made."""
    return model.layers[-2]


def prepared(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Raw images [B, H, W, C] as the network of such a model sees them: float32 [B, S, S, C], values in [0, 255]."""
    x = images
    for layer in model.layers[1:-2]:
        x = layer(x)
    return np.asarray(keras.ops.convert_to_numpy(x))
