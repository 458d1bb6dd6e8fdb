"""What the tensors of each family of files are in our Vision Transformer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vit_train.pretrained.layouts import (
    Layout,
    dense,
    flax_patches,
    from_heads,
    into_heads,
    patches,
    same,
    table,
    token,
)


@dataclass(frozen=True)
class Row:
    """A tensor's name, {} for the number of the block; the variables that it is split into; how those are laid out."""

    name: str
    paths: tuple[str, ...]
    layout: Layout


@dataclass(frozen=True)
class Family:
    """Files that name tensors alike. The first row is that of the patch projection, which tells families apart.

    `ignored` has patterns of what our model has no use for, with the reason; `facts` keys of our model that no tensor
    of the family tells and that are the same in all its files; `heads` those of the published widths. With the same
    patch projection as another family's, `lacks` is a tensor that only that one has.
    """

    name: str
    rows: tuple[Row, ...]
    ignored: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[int, int] = field(default_factory=dict)
    lacks: str = ""

    @property
    def anchor(self) -> str:
        """The name of the patch projection's kernel."""
        return self.rows[0].name


def _linear(name: str, path: str, layout: Layout, bias: Layout = same) -> Iterator[Row]:
    yield Row(f"{name}.weight", (f"{path}/kernel",), layout)
    yield Row(f"{name}.bias", (f"{path}/bias",), bias)


def _norm(name: str, path: str) -> Iterator[Row]:
    yield Row(f"{name}.weight", (f"{path}/gamma",), same)
    yield Row(f"{name}.bias", (f"{path}/beta",), same)


def _fused(weight: str, bias: str) -> Iterator[Row]:
    parts = ("query", "key", "value")
    yield Row(weight, tuple(f"block_{{}}/attention/{part}/kernel" for part in parts), into_heads)
    yield Row(bias, tuple(f"block_{{}}/attention/{part}/bias" for part in parts), into_heads)


def _separate(name: str, parts: tuple[str, str, str], out: str) -> Iterator[Row]:
    """`name` has {} for the number of the block, and then for the part."""
    for part, ours in zip(parts, ("query", "key", "value"), strict=True):
        yield from _linear(name.format("{}", part), f"block_{{}}/attention/{ours}", into_heads, into_heads)
    yield from _linear(out, "block_{}/attention/attention_output", from_heads)


def _mlp(hidden: str, output: str) -> Iterator[Row]:
    yield from _linear(hidden, "block_{}/mlp_hidden", dense)
    yield from _linear(output, "block_{}/mlp_output", dense)


def _norms(attention: str, mlp: str) -> Iterator[Row]:
    yield from _norm(attention, "block_{}/attention_norm")
    yield from _norm(mlp, "block_{}/mlp_norm")


def _tokens(positions: str, class_token: str, *registers: str) -> Iterator[Row]:
    yield Row(positions, ("embedding/positions",), table)
    yield Row(class_token, ("embedding/class_token",), token)
    for name in registers:
        yield Row(name, ("embedding/registers",), token)


_HEAD = "their head"
_POOLING = "their pooling, which model.pooling takes the place of"
_MASKED = "for training on masked images only"
_TEXT = "of the text encoder"

_TIMM_BLOCKS = (
    *_norms("blocks.{}.norm1", "blocks.{}.norm2"),
    *_fused("blocks.{}.attn.qkv.weight", "blocks.{}.attn.qkv.bias"),
    *_linear("blocks.{}.attn.proj", "block_{}/attention/attention_output", from_heads),
    *_mlp("blocks.{}.mlp.fc1", "blocks.{}.mlp.fc2"),
    Row("blocks.{}.gamma_1", ("block_{}/attention_scale/gain",), same),  # of the authors of DeiT III, and DINOv3's
    Row("blocks.{}.gamma_2", ("block_{}/mlp_scale/gain",), same),
    *_norm("norm", "norm"),
)
TIMM = Family(
    "timm",
    (
        *_linear("patch_embed.proj", "embedding/projection", patches),
        *_tokens("pos_embed", "cls_token", "reg_token", "dist_token", "register_tokens"),
        *_norm("norm_pre", "pre_norm"),
        *_TIMM_BLOCKS,
        *_norm("blocks.{}.attn.q_norm", "block_{}/attention/query_norm"),
        *_norm("blocks.{}.attn.k_norm", "block_{}/attention/key_norm"),
        Row("blocks.{}.ls1.gamma", ("block_{}/attention_scale/gain",), same),
        Row("blocks.{}.ls2.gamma", ("block_{}/mlp_scale/gain",), same),
        *_norm("fc_norm", "norm"),
    ),
    {r"head(_dist)?\..*": _HEAD, r"attn_pool\..*": _POOLING, r"mask_token|decoder_.*": _MASKED},
    {"norm_epsilon": 1e-6, "activation": "gelu"},
)

# Biases of queries and values stand alone in it, which other models of timm with rotary positions share.
TIMM_DINOV3 = Family(
    "timm, DINOv3",
    (
        *_linear("patch_embed.proj", "embedding/projection", patches),
        Row("cls_token", ("embedding/class_token",), token),
        Row("reg_token", ("embedding/registers",), token),
        *_TIMM_BLOCKS,
        Row("blocks.{}.attn.q_bias", ("block_{}/attention/query/bias",), into_heads),
        Row("blocks.{}.attn.v_bias", ("block_{}/attention/value/bias",), into_heads),
        *_linear("blocks.{}.mlp.fc1_g", "block_{}/mlp_gate", dense),
        *_linear("blocks.{}.mlp.fc1_x", "block_{}/mlp_hidden", dense),
    ),
    {r"head\..*": _HEAD},
    lacks="pos_embed",
)

_V4 = "encoder.layer.{}"
_V5 = "layers.{}"  # the names that version 5 has in memory
TRANSFORMERS = Family(
    "transformers",
    (
        *_linear("embeddings.patch_embeddings.projection", "embedding/projection", patches),
        *_tokens(
            "embeddings.position_embeddings", "embeddings.cls_token", "embeddings.register_tokens",
            "embeddings.distillation_token",
        ),
        *_norms(f"{_V4}.layernorm_before", f"{_V4}.layernorm_after"),
        *_norms(f"{_V4}.norm1", f"{_V4}.norm2"),
        *_norms(f"{_V5}.layernorm_before", f"{_V5}.layernorm_after"),
        *_norms(f"{_V5}.norm1", f"{_V5}.norm2"),
        *_separate(f"{_V4}.attention.attention.{{}}", ("query", "key", "value"), f"{_V4}.attention.output.dense"),
        *_separate(f"{_V5}.attention.{{}}_proj", ("q", "k", "v"), f"{_V5}.attention.o_proj"),
        *_mlp(f"{_V4}.intermediate.dense", f"{_V4}.output.dense"),
        *_mlp(f"{_V4}.mlp.fc1", f"{_V4}.mlp.fc2"),
        *_mlp(f"{_V5}.mlp.fc1", f"{_V5}.mlp.fc2"),
        *(Row(f"{layer}.layer_scale{number}.lambda1", (f"block_{{}}/{branch}_scale/gain",), same)
          for layer in (_V4, _V5) for number, branch in ((1, "attention"), (2, "mlp"))),
        *_norm("layernorm", "norm"),
    ),
    {
        r"(classifier|cls_classifier|distillation_classifier)\..*": _HEAD,
        r"pooler\..*": "a pooler that no classifier uses",
        r"embeddings\.mask_token|decoder\..*": _MASKED,
    },
)  # fmt: skip

_V3 = "layer.{}"
TRANSFORMERS_DINOV3 = Family(
    "transformers, DINOv3",
    (
        *_linear("embeddings.patch_embeddings", "embedding/projection", patches),
        Row("embeddings.cls_token", ("embedding/class_token",), token),
        Row("embeddings.register_tokens", ("embedding/registers",), token),
        *_norms(f"{_V3}.norm1", f"{_V3}.norm2"),
        *_separate(f"{_V3}.attention.{{}}_proj", ("q", "k", "v"), f"{_V3}.attention.o_proj"),
        *_mlp(f"{_V3}.mlp.up_proj", f"{_V3}.mlp.down_proj"),
        *_linear(f"{_V3}.mlp.gate_proj", "block_{}/mlp_gate", dense),
        Row(f"{_V3}.layer_scale1.lambda1", ("block_{}/attention_scale/gain",), same),
        Row(f"{_V3}.layer_scale2.lambda1", ("block_{}/mlp_scale/gain",), same),
        *_norm("norm", "norm"),
    ),
    {r"embeddings\.mask_token": _MASKED, r"classifier\..*": _HEAD},
)

_CLIP = "encoder.layers.{}"
TRANSFORMERS_CLIP = Family(
    "transformers, CLIP or SigLIP",
    (
        *_linear("embeddings.patch_embedding", "embedding/projection", patches),
        *_tokens("embeddings.position_embedding.weight", "embeddings.class_embedding"),
        *_norm("pre_layrnorm", "pre_norm"),  # their spelling
        *_norms(f"{_CLIP}.layer_norm1", f"{_CLIP}.layer_norm2"),
        *_separate(f"{_CLIP}.self_attn.{{}}_proj", ("q", "k", "v"), f"{_CLIP}.self_attn.out_proj"),
        *_mlp(f"{_CLIP}.mlp.fc1", f"{_CLIP}.mlp.fc2"),
        *_norm("post_layernorm", "norm"),
    ),
    {
        r"visual_projection\..*|classifier\..*": _HEAD,
        r"head\..*": _POOLING,
        r"embeddings\.position_ids": "the numbers of the positions",
        r"text_model\..*|text_projection\..*|logit_(scale|bias)": _TEXT,
    },
)

_RES = "transformer.resblocks.{}"
OPEN_CLIP = Family(
    "open_clip",
    (
        *_linear("conv1", "embedding/projection", patches),
        *_tokens("positional_embedding", "class_embedding"),
        *_norm("ln_pre", "pre_norm"),
        *_norms(f"{_RES}.ln_1", f"{_RES}.ln_2"),
        *_fused(f"{_RES}.attn.in_proj_weight", f"{_RES}.attn.in_proj_bias"),
        *_linear(f"{_RES}.attn.out_proj", "block_{}/attention/attention_output", from_heads),
        *_mlp(f"{_RES}.mlp.c_fc", f"{_RES}.mlp.c_proj"),
        Row(f"{_RES}.ls_1.gamma", ("block_{}/attention_scale/gain",), same),
        Row(f"{_RES}.ls_2.gamma", ("block_{}/mlp_scale/gain",), same),
        *_norm("ln_post", "norm"),
    ),
    {
        r"proj": _HEAD,
        r"(transformer|token_embedding|ln_final|text)\..*|positional_embedding|text_projection": _TEXT,
        r"logit_(scale|bias)": _TEXT,
    },
    {"norm_epsilon": 1e-5},
)  # fmt: skip

_TV = "encoder.layers.encoder_layer_{}"
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
TORCHVISION = Family(
    "torchvision",
    (
        *_linear("conv_proj", "embedding/projection", patches),
        *_tokens("encoder.pos_embedding", "class_token"),
        *_norms(f"{_TV}.ln_1", f"{_TV}.ln_2"),
        *_fused(f"{_TV}.self_attention.in_proj_weight", f"{_TV}.self_attention.in_proj_bias"),
        *_linear(f"{_TV}.self_attention.out_proj", "block_{}/attention/attention_output", from_heads),
        *_mlp(f"{_TV}.mlp.0", f"{_TV}.mlp.3"),
        *_mlp(f"{_TV}.mlp.linear_1", f"{_TV}.mlp.linear_2"),  # before version 0.14
        *_norm("encoder.ln", "norm"),
    ),
    {r"heads\..*": _HEAD},
    {"norm_epsilon": 1e-6, "activation": "gelu", **_IMAGENET},
    {768: 12, 1024: 16, 1280: 16},
)

_FLAX = "Transformer/encoderblock_{}"


def _flax(name: str, path: str, layout: Layout = same) -> Iterator[Row]:
    yield Row(f"{name}/kernel", (f"{path}/kernel",), layout)
    yield Row(f"{name}/bias", (f"{path}/bias",), same)


def _flax_block(attention: str, norm: str, mlp: str) -> Iterator[Row]:
    """Attention kernels are [D, H, K] and [H, K, D], as ours."""
    for part in ("query", "key", "value"):
        yield from _flax(f"{_FLAX}/{attention}/{part}", f"block_{{}}/attention/{part}")
    yield from _flax(f"{_FLAX}/{attention}/out", "block_{}/attention/attention_output")
    yield from _flax_norm(f"{_FLAX}/{norm}", "block_{}/mlp_norm")
    yield from _flax(f"{_FLAX}/{mlp}/Dense_0", "block_{}/mlp_hidden")
    yield from _flax(f"{_FLAX}/{mlp}/Dense_1", "block_{}/mlp_output")


def _flax_norm(name: str, path: str) -> Iterator[Row]:
    yield Row(f"{name}/scale", (f"{path}/gamma",), same)
    yield Row(f"{name}/bias", (f"{path}/beta",), same)


FLAX = Family(
    "vit_jax or big_vision",
    (
        *_flax("embedding", "embedding/projection", flax_patches),
        *_tokens("Transformer/posembed_input/pos_embedding", "cls"),
        Row("pos_embedding", ("embedding/positions",), table),
        *_flax_norm(f"{_FLAX}/LayerNorm_0", "block_{}/attention_norm"),
        *_flax_block("MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3"),
        *_flax_block("MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0"),
        *_flax_norm("Transformer/encoder_norm", "norm"),
    ),
    {r"(head|pre_logits)/.*": _HEAD, r"MAPHead_0/.*": _POOLING, r"(opt/state|chrono)/.*|opt/step": "of the training"},
    {"norm_epsilon": 1e-6, "activation": "gelu_tanh", "mean": [0.5] * 3, "std": [0.5] * 3},
)

# As Keras numbers the layers and variables of a file; kernels are ours. A block without a number is `_0` in `tensors`.
_HUB, _HUB_BLOCK = "layers/vi_t_encoder", "layers/vi_t_encoder/encoder_layers/vi_t_encoder_block_{}"
_HUB_TOKENS = "layers/vi_t_patching_and_embedding"


def _keras(name: str, path: str, names: tuple[str, str] = ("kernel", "bias"), layout: Layout = same) -> Iterator[Row]:
    yield Row(f"{name}/vars/0", (f"{path}/{names[0]}",), layout)
    yield Row(f"{name}/vars/1", (f"{path}/{names[1]}",), same)


KERAS_HUB = Family(
    "KerasHub",
    (
        *_keras(f"{_HUB_TOKENS}/patch_embedding", "embedding/projection", layout=flax_patches),
        *_tokens(f"{_HUB_TOKENS}/position_embedding/vars/0", f"{_HUB_TOKENS}/vars/0"),
        *(row for part, ours in (("query", "query"), ("key", "key"), ("value", "value"), ("output", "attention_output"))
          for row in _keras(f"{_HUB_BLOCK}/mha/{part}_dense", f"block_{{}}/attention/{ours}")),
        *(row for number, ours in ((1, "hidden"), (2, "output"))
          for row in _keras(f"{_HUB_BLOCK}/mlp/dense_{number}", f"block_{{}}/mlp_{ours}")),
        *(row for number, ours in ((1, "attention"), (2, "mlp"))
          for row in _keras(f"{_HUB_BLOCK}/layer_norm_{number}", f"block_{{}}/{ours}_norm", ("gamma", "beta"))),
        *_keras(f"{_HUB}/layer_norm", "norm", ("gamma", "beta")),
    ),
    {},
    {"activation": "gelu"},
)  # fmt: skip

FAMILIES = (
    TIMM, TIMM_DINOV3, TRANSFORMERS, TRANSFORMERS_DINOV3, TRANSFORMERS_CLIP, OPEN_CLIP, TORCHVISION, FLAX, KERAS_HUB,
)  # fmt: skip
