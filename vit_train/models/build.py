"""From the config of a model to the model."""

import keras

from vit_train.config.models import MatmulFreeConfig, ModelConfig, VitConfig
from vit_train.models.matmul_free import build_matmul_free
from vit_train.models.resnet import build_resnet
from vit_train.models.vit import build_vit


def build_model(config: ModelConfig, classes: int) -> keras.Model:
    """A network on float32 images [B, S, S, 3] with values in [0, 255]; returns float32 logits [B, classes].

    S is `config.image_size`. Its layer "normalization" is Keras' Normalization, which the caller adapts.
    """
    if isinstance(config, VitConfig):
        return build_vit(config, classes)
    if isinstance(config, MatmulFreeConfig):
        return build_matmul_free(config, classes)
    return build_resnet(config, classes)
