"""From the config of a model to the model."""

from collections.abc import Callable
from typing import Any

import keras

from vit_train.config import plugins
from vit_train.config.models import MatmulFreeConfig, ModelConfig, ResNetConfig, VitConfig
from vit_train.errors import ConfigError
from vit_train.models.layers import INITIALIZERS
from vit_train.models.matmul_free import matmul_free_features
from vit_train.models.resnet import resnet_features
from vit_train.models.vit import vit_features

# Each goes from normalised images [B, S, S, 3] to features [B, F]; what is before and after them is the same for all.
FEATURES: dict[type, Callable[[Any, keras.KerasTensor], keras.KerasTensor]] = {
    VitConfig: vit_features,
    MatmulFreeConfig: matmul_free_features,
    ResNetConfig: resnet_features,
}


def build_model(config: ModelConfig, classes: int) -> keras.Model:
    """A network on float32 images [B, S, S, 3] with values in [0, 255]; returns float32 logits [B, classes].

    S is `config.image_size`. Its layer "normalization" is Keras' Normalization (mean, variance and count: 7 values, not
    trained), which the caller adapts; the last one is "logits".
    """
    images = keras.Input((config.image_size, config.image_size, 3), dtype="float32", name="images")
    # In bfloat16 values above 255 / 2 would lose their last bit before the mean is taken off.
    x = keras.layers.Normalization(dtype="float32", name="normalization")(images)
    features = FEATURES[type(config)](config, x) if config.own is None else _own_features(config, x)
    # Logits stay in float32 under mixed precision, so that the loss is computed in float32.
    start = INITIALIZERS[config.logits_initializer]
    logits = keras.layers.Dense(classes, kernel_initializer=start, dtype="float32", name="logits")(features)
    return keras.Model(images, logits, name=config.name)


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
