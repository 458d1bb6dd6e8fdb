"""ResNet50V2 of keras.applications, trained from scratch: images -> logits."""

import keras

from vit_train.config.models import ResNetConfig


def build_resnet(config: ResNetConfig, classes: int) -> keras.Model:
    """ResNet50V2 ("Identity Mappings in Deep Residual Networks", arXiv 1603.05027) as `models.build` describes models.

    Its stem halves the image twice, also where images are small: 72 pixels become a map of 18x18 and end as one of 3x3.
    Its weights are random.
    """
    images = keras.Input((config.image_size, config.image_size, 3), dtype="float32", name="images")
    x = keras.layers.Normalization(dtype="float32", name="normalization")(images)
    body = keras.applications.ResNet50V2(include_top=False, weights=None, input_tensor=x, pooling="avg")
    # Logits stay in float32 under mixed precision, so that the loss is computed in float32.
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(body.output)
    return keras.Model(images, logits, name="resnet50v2")
