"""The Vision Transformer, from normalised images to features."""

from typing import Any

import keras

from vit_train.config.models import VitConfig
from vit_train.models import heads
from vit_train.models.blocks import TransformerBlock
from vit_train.models.layer_norm import LayerNorm
from vit_train.models.stems import ConvStem, PatchEmbedding, Patches, TokenEmbedding


def vit_features(config: VitConfig, images: keras.KerasTensor) -> keras.KerasTensor:
    """Vision Transformer: normalised images [B, S, S, C] -> features [B, F].

    With the default config this is the model of the keras.io example "Image classification with Vision Transformer" (K.
    Salama, 2021): 21,759,019 parameters for 100 classes.
    """
    x = _embedding(config, images)
    if config.pre_norm:
        x = LayerNorm(epsilon=config.norm_epsilon, name="pre_norm")(x)
    for index, rate in enumerate(_drop_path_rates(config)):
        x = TransformerBlock(
            heads=config.heads,
            key_dim=config.key_dim or config.projection_dim // config.heads,
            mlp_dim=round(config.projection_dim * config.mlp_ratio),
            dropout=config.dropout,
            attention_initializer=config.attention_initializer,
            mlp=config.mlp,
            mlp_output_activation=config.mlp_output_activation,
            activation=config.activation,
            initializer=config.initializer,
            epsilon=config.norm_epsilon,
            drop_path=rate,
            layer_scale=config.layer_scale,
            prefix_tokens=config.prefix_tokens,
            rotary=config.position_embedding == "rope",
            qk_norm=config.qk_norm,
            name=f"block_{index}",
        )(x)
    norm = LayerNorm(epsilon=config.norm_epsilon, name="norm")
    if config.final_norm == "tokens":
        x = norm(x)
    x = heads.pool(x, config.pooling, config.register_tokens, config.initializer)
    if config.final_norm == "pooled":
        x = norm(x)
    return heads.hidden_layers(x, config.head_units, config.head_dropout, config.initializer)


def _embedding(config: VitConfig, images: keras.KerasTensor) -> keras.KerasTensor:
    """[B, S, S, C] -> [B, N, D]."""
    options: dict[str, Any] = {
        "position_embedding": config.position_embedding,
        "class_token": config.pooling == "class_token",
        "registers": config.register_tokens,
        "initializer": config.initializer,
        "name": "embedding",
    }
    if config.stem == "conv":
        widths = (*(config.stem_channels for _ in range(config.convolutions - 1)), config.projection_dim)
        tokens = ConvStem(widths, config.stem_norm, name="stem")(images)
        return TokenEmbedding(config.projection_dim, **options)(tokens)
    return PatchEmbedding(config.projection_dim, **options)(Patches(config.patch_size, name="patches")(images))


def _drop_path_rates(config: VitConfig) -> list[float]:
    """Of each block: the same, or growing evenly from 0 in the first to the highest in the last."""
    if config.drop_path_mode == "constant":
        return [config.drop_path] * config.depth
    return [config.drop_path * index / max(1, config.depth - 1) for index in range(config.depth)]
