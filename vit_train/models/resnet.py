"""ResNet50V2 of keras.applications, trained from scratch."""

import keras

from vit_train.config.models import ResNetConfig


def resnet_features(config: ResNetConfig, images: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet50V2 ("Identity Mappings in Deep Residual Networks", arXiv 1603.05027): [B, S, S, 3] -> [B, 2048].

    Its stem halves the image twice, also where images are small: 72 pixels become a map of 18x18 and end as one of 3x3.
    Its weights are random.
    """
    return keras.applications.ResNet50V2(include_top=False, weights=None, input_tensor=images, pooling="avg").output
