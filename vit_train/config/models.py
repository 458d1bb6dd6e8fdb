"""The keys of each model; `name` says which model they are for, and conf/model/NAME.yaml has their values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vit_train.config.convert import key, show
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AnyModelConfig:
    """What every model has."""

    own: ClassVar[Callable[..., Any] | None] = None  # a plugin's method, from normalised images to features

    name: str = key("the architecture")
    image_size: int = key(
        "side of the square image the model sees, in pixels; images are resized to it", fills_memory=True, minimum=1
    )

    mean: tuple[float, ...] | None = key(
        "what is taken off red, green and blue, on the scale 0 to 1; null is the mean of the training images",
        absent=None,
    )
    std: tuple[float, ...] | None = key(
        "what red, green and blue are divided by then; null is the deviation of the training images", absent=None
    )

    @property
    def logits_initializer(self) -> str:
        """Of the dense kernel of the logits, as `models.layers` names them."""
        return "glorot"

    @property
    def batch_statistics(self) -> bool:
        """Whether the model normalises over the examples of a batch."""
        return False

    @property
    def packs_ternary(self) -> bool:
        """Whether its weights are also to be written as ternary.npz."""
        return False

    def require_size(self, key: str, size: int) -> None:
        """Raises ConfigError, about `key`, unless the same weights take images of `size` pixels, too."""

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ConfigError("model.mean and model.std: set both, or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and (len(values) != 3 or (name == "std" and min(values) <= 0)):
                raise ConfigError(
                    f"model.{name}={show(values)}: must be three numbers{' above 0' if name == 'std' else ''}, of red, "
                    "green and blue"
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

    def require_size(self, key: str, size: int) -> None:
        if size % self.patch_size:
            raise ConfigError(f"{key}={size}: must be a multiple of model.patch_size={self.patch_size}")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size % self.patch_size:
            below = self.image_size // self.patch_size * self.patch_size
            sizes = [str(size) for size in (below, below + self.patch_size) if size]
            raise ConfigError(
                f"model.patch_size={self.patch_size}: does not divide model.image_size={self.image_size}; choose "
                f"one of {', '.join(map(str, _divisors(self.image_size)))}, or model.image_size={' or '.join(sizes)}"
            )


@dataclass(frozen=True, kw_only=True)
class VitConfig(PatchModelConfig):
    """The Vision Transformer."""

    name: Literal["vit"] = key("the architecture")
    heads: int = key("attention heads per block", minimum=1)
    key_dim: int | None = key("width of a head; null splits projection_dim among the heads", minimum=1)
    pooling: Literal["flatten", "average", "class_token", "attention"] = key(
        "how tokens become one vector; attention is their mean by learned weights, as in CCT"
    )
    position_embedding: Literal["learned", "sincos", "rope", "none"] = key(
        "what tells tokens apart by place: a table that is added, or rotations of queries and keys, as in DINOv3"
    )
    attention_initializer: Literal["glorot_2021", "glorot", "trunc_normal"] = key(
        "spread of the first attention kernels: as Keras 2 drew them in 2021, as Keras 3 does, or normal of 0.02"
    )
    initializer: Literal["glorot", "trunc_normal"] = key(
        "spread of the other dense kernels and the positions: Keras', or a normal of 0.02, cut",
        absent="glorot",
    )
    stem: Literal["patch", "conv"] = key(
        "from pixels to tokens: one projection of each patch, or convolutions of 3x3 that halve the image down to the "
        "tokens, two for patch_size=4",
        absent="patch",
    )
    stem_channels: int = key("channels inside of stem=conv", absent=48, minimum=1)
    stem_norm: Literal["batch", "layer", "none"] = key("normalisation inside of stem=conv", absent="batch")
    mlp: Literal["dense", "conv", "swiglu"] = key(
        "between a block's two dense layers: model.activation, a depthwise convolution of 3x3 over the tokens besides, "
        "or in place of both a second hidden layer that weighs the first through SiLU",
        absent="dense",
    )
    mlp_output_activation: bool = key(
        "whether the activation follows the MLP's second dense layer, too, as in the keras.io example", absent=True
    )
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = key(
        "of the MLP: GELU exactly, by its tanh approximation, which is faster on a processor, or by CLIP's sigmoid",
        absent="gelu",
    )
    drop_path: float = key(
        "rate at which a training example skips a branch of a block; of the last block in drop_path_mode=linear",
        absent=0.0, minimum=0, below=1,
    )  # fmt: skip
    drop_path_mode: Literal["linear", "constant"] = key(
        "whether drop_path grows from 0 over the blocks or is the same in all", absent="linear"
    )
    layer_scale: float | None = key(
        "first value of a learned gain on each branch of a block, such as 1e-5; null has none", absent=None, above=0
    )
    qk_norm: bool = key("whether queries and keys are normalised in each head", absent=False)
    register_tokens: int = key("learned tokens without place beside those of the image", absent=0, minimum=0)
    pre_norm: bool = key("whether tokens are normalised before the first block, too, as in CLIP", absent=False)
    final_norm: Literal["tokens", "pooled"] = key(
        "what the last normalisation is of: every token, or what pooling makes of them", absent="tokens"
    )
    norm_epsilon: float = key("added to the variance in layer normalisation", absent=1e-6, above=0)

    @property
    def logits_initializer(self) -> str:
        return self.initializer

    @property
    def batch_statistics(self) -> bool:
        return self.stem == "conv" and self.stem_norm == "batch" and self.convolutions > 1

    @property
    def convolutions(self) -> int:
        """How many times stem=conv halves the image."""
        return self.patch_size.bit_length() - 1

    @property
    def prefix_tokens(self) -> int:
        """How many tokens come before those of the image."""
        return int(self.pooling == "class_token") + self.register_tokens

    def require_size(self, key: str, size: int) -> None:
        super().require_size(key, size)
        if self.pooling == "flatten":
            raise ConfigError(
                f"{key}={size}: model.pooling=flatten has weights for each token of one size only; "
                "use model.pooling=average, attention or class_token"
            )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stem == "conv" and (self.patch_size < 2 or self.patch_size & (self.patch_size - 1)):
            raise ConfigError(
                f"model.patch_size={self.patch_size}: model.stem=conv halves the image again and again; choose 2, 4, 8 "
                "or another power of 2"
            )
        if self.key_dim is None and self.projection_dim % self.heads:
            raise ConfigError(
                f"model.heads={self.heads}: does not divide model.projection_dim={self.projection_dim} while "
                "model.key_dim is null; change one of them or set model.key_dim"
            )
        head_width = self.key_dim or self.projection_dim // self.heads
        if self.position_embedding == "rope" and head_width % 4:
            raise ConfigError(
                f"model.position_embedding=rope: turns heads of a multiple of 4, and theirs is {head_width}; change "
                "model.heads, model.projection_dim or model.key_dim"
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

    @property
    def packs_ternary(self) -> bool:
        return self.export_ternary

    def require_size(self, key: str, size: int) -> None:
        raise ConfigError(
            f"{key}={size}: model=matmul_free has weights for each token of model.image_size={self.image_size}, and "
            "takes no other size"
        )


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(AnyModelConfig):
    """The residual network of keras.applications, without pretrained weights."""

    name: Literal["resnet50v2"] = key("the architecture")
    image_size: int = key(
        "side of the square image the model sees, in pixels; images are resized to it", fills_memory=True, minimum=32
    )

    @property
    def batch_statistics(self) -> bool:
        return True


ModelConfig = VitConfig | MatmulFreeConfig | ResNetConfig


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
