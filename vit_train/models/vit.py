"""The Vision Transformer: images -> logits."""

import keras

from vit_train.config.models import VitConfig
from vit_train.models.dropout import Dropout
from vit_train.models.layer_norm import LayerNorm
from vit_train.models.layers import PatchEmbedding, Patches, TransformerBlock


def build_vit(config: VitConfig, classes: int) -> keras.Model:
    """Vision Transformer on float32 images [B, S, S, 3] with values in [0, 255]; returns float32 logits [B, classes].

    S is `config.image_size`. The first layer is Keras' Normalization (mean, variance and count: 7 values, not trained),
    which the caller adapts. With the default config this is the model of the keras.io example "Image classification
    with Vision Transformer" (K. Salama, 2021): 21,759,019 parameters for 100 classes.
    """
    layers = keras.layers
    images = keras.Input((config.image_size, config.image_size, 3), dtype="float32", name="images")
    # In bfloat16 values above 255 / 2 would lose their last bit before the mean is taken off.
    x = layers.Normalization(dtype="float32", name="normalization")(images)
    x = Patches(config.patch_size, name="patches")(x)
    class_token = config.pooling == "class_token"
    x = PatchEmbedding(config.projection_dim, config.position_embedding, class_token, name="embedding")(x)
    for index in range(config.depth):
        x = TransformerBlock(
            heads=config.heads,
            key_dim=config.key_dim or config.projection_dim // config.heads,
            mlp_dim=round(config.projection_dim * config.mlp_ratio),
            dropout=config.dropout,
            attention_initializer=config.attention_initializer,
            name=f"block_{index}",
        )(x)
    x = LayerNorm(epsilon=1e-6, name="norm")(x)
    x = _pool(x, config.pooling)
    x = Dropout(config.head_dropout, name="pooled_dropout")(x)
    for index, units in enumerate(config.head_units):
        x = layers.Dense(units, activation="gelu", name=f"head_{index}")(x)
        x = Dropout(config.head_dropout, name=f"head_dropout_{index}")(x)
    # Logits stay in float32 under mixed precision, so that the loss is computed in float32.
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="vit")


def _pool(x_BND: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """[B, N, D] -> [B, N * D] for "flatten", else [B, D]."""
    if pooling == "flatten":
        return keras.layers.Flatten(name="flatten")(x_BND)
    if pooling == "average":
        return keras.layers.GlobalAveragePooling1D(name="average")(x_BND)
    return x_BND[:, 0]
