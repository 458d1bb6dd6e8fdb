"""From the config of a model to the model."""

from collections.abc import Callable
from typing import Any

import keras

from vit_train.config import plugins
from vit_train.config.heads import HeadConfig, KnnHeadConfig, PrototypesHeadConfig, TrainedHeadConfig
from vit_train.config.models import MatmulFreeConfig, ModelConfig, ResNetConfig, VitConfig
from vit_train.errors import ConfigError
from vit_train.models.fitted import NeighbourLogits, PrototypeLogits
from vit_train.models.layers import INITIALIZERS
from vit_train.models.matmul_free import matmul_free_features
from vit_train.models.resnet import resnet_features
from vit_train.models.vit import vit_features

# Each goes from normalised images [B, S, S, C] to features [B, F]; what is before and after them is the same for all.
FEATURES: dict[type, Callable[[Any, keras.KerasTensor], keras.KerasTensor]] = {
    VitConfig: vit_features,
    MatmulFreeConfig: matmul_free_features,
    ResNetConfig: resnet_features,
}


def build_model(
    config: ModelConfig, classes: int, head: HeadConfig | None = None, examples: int = 0, channels: int = 3
) -> keras.Model:
    """A network on float32 images [B, S, S, channels] with values in [0, 255]; returns float32 logits [B, classes].

    S is `config.image_size`. Its layer "normalization" is Keras' Normalization (mean, variance and count: 7 values, of
    grey images 3, not trained), which the caller adapts; the last one is "logits". That is dense unless `head` is
    another one, which may keep as many training images as `examples`.
    """
    images = keras.Input((config.image_size, config.image_size, channels), dtype="float32", name="images")
    # In bfloat16 values above 255 / 2 would lose their last bit before the mean is taken off.
    x = keras.layers.Normalization(dtype="float32", name="normalization")(images)
    features = FEATURES[type(config)](config, x) if config.own is None else _own_features(config, x)
    logits = _head(head or TrainedHeadConfig(name="trained"), classes, examples, config.logits_initializer)(features)
    return keras.Model(images, logits, name=config.name)


def _head(head: HeadConfig, classes: int, examples: int, initializer: str) -> keras.layers.Layer:
    # Logits stay in float32 under mixed precision, so that the loss is computed in float32.
    options = {"dtype": "float32", "name": "logits"}
    match head:
        case KnnHeadConfig():
            if head.neighbours >= examples:
                raise ConfigError(
                    f"head.neighbours={head.neighbours}: must be fewer than the {examples} training images"
                )
            return NeighbourLogits(classes, examples, head.neighbours, head.temperature, **options)
        case PrototypesHeadConfig():
            return PrototypeLogits(classes, head.temperature, **options)
    return keras.layers.Dense(classes, kernel_initializer=INITIALIZERS[initializer], **options)


def _own_features(config: ModelConfig, images: keras.KerasTensor) -> keras.KerasTensor:
    """Those of a plugin's model; raises ConfigError if its function fails or gives something else."""
    assert config.own is not None
    with plugins.own_blamed():
        features = config.own(images)
    if not isinstance(features, keras.KerasTensor) or len(features.shape) != 2:
        found = features.shape if isinstance(features, keras.KerasTensor) else type(features).__name__
        raise ConfigError(f"model={config.name}: its function gives {found}, not features (batch, width)")
    return features


def register_layers(config: ModelConfig) -> None:
    """Has Keras know the layers of a plugin's model, which its function makes, before a model.keras is loaded."""
    if config.own is not None:
        build_model(config, classes=2)
