"""The keys of each model; `name` says which model they are for, and conf/model/NAME.yaml has their values."""

from dataclasses import dataclass
from typing import Literal

from vit_train.config.convert import key
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AnyModelConfig:
    """What every model has."""

    name: str = key("the architecture")
    image_size: int = key(
        "side of the square image the model sees, in pixels; images are resized to it", fills_memory=True, minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class PatchModelConfig(AnyModelConfig):
    """What models on patches have."""

    patch_size: int = key("side of a patch, in pixels; must divide image_size", minimum=1)
    projection_dim: int = key("width of a token", fills_memory=True, minimum=1)
    depth: int = key("number of blocks", fills_memory=True, minimum=1)
    mlp_ratio: float = key("hidden width of a block's MLP, as a multiple of projection_dim", above=0)
    head_units: tuple[int, ...] = key("widths of the dense layers between pooling and logits, such as [2048,1024]",
                                      fills_memory=True, minimum=1)  # fmt: skip
    dropout: float = key("dropout rate inside the blocks", minimum=0, below=1)
    head_dropout: float = key("dropout rate in the head", minimum=0, below=1)

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"model.patch_size={self.patch_size}: does not divide model.image_size={self.image_size}; "
                f"choose one of {', '.join(map(str, _divisors(self.image_size)))}"
            )


@dataclass(frozen=True, kw_only=True)
class VitConfig(PatchModelConfig):
    """The Vision Transformer."""

    name: Literal["vit"] = key("the architecture")
    heads: int = key("attention heads per block", minimum=1)
    key_dim: int | None = key("width of a head; null splits projection_dim among the heads", minimum=1)
    pooling: Literal["flatten", "average", "class_token"] = key("how tokens become one vector")
    position_embedding: Literal["learned", "sincos", "none"] = key("what tells tokens apart by place")
    attention_initializer: Literal["glorot_2021", "glorot"] = key(
        "spread of the first attention kernels: as Keras 2 drew them in 2021, or as Keras 3 does"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.key_dim is None and self.projection_dim % self.heads:
            raise ConfigError(
                f"model.heads={self.heads}: does not divide model.projection_dim={self.projection_dim} while "
                "model.key_dim is null; change one of them or set model.key_dim"
            )
        if self.position_embedding == "sincos" and (self.projection_dim % 4 or self.projection_dim < 8):
            raise ConfigError(
                f"model.projection_dim={self.projection_dim}: model.position_embedding=sincos needs a multiple of 4, "
                "at least 8"
            )


@dataclass(frozen=True, kw_only=True)
class MatmulFreeConfig(PatchModelConfig):
    """The matrix-multiplication-free model of Keras-MML."""

    name: Literal["matmul_free"] = key("the architecture")
    export_ternary: bool = key("also write the weights as ternary.npz, those of ternary kernels in 1.6 bits each")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(AnyModelConfig):
    """The residual network of keras.applications, without pretrained weights."""

    name: Literal["resnet50v2"] = key("the architecture")
    image_size: int = key(
        "side of the square image the model sees, in pixels; images are resized to it", fills_memory=True, minimum=32
    )


ModelConfig = VitConfig | MatmulFreeConfig | ResNetConfig


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
