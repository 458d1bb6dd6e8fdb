"""Writes tests/golden/pretrained with tiny models of other libraries: pretrained.py FOLDER. Run by `make parity`.

Each case is a folder as its library writes it, all weights drawn at random, and golden.npz: raw `images`, the
`features` in front of the head, and the `gradient` of sum(features * weights) by the images on the scale 0 to 255.
"""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import open_clip
import timm
import torch
import torchvision
import transformers
from flax.traverse_util import flatten_dict
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed

SIZE, PATCH, WIDTH, DEPTH, HEADS = 32, 8, 24, 2, 3
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
Pixels = tuple[tuple[float, ...], tuple[float, ...]]


def drawn(model: torch.nn.Module) -> torch.nn.Module:
    """The model with weights far enough from those that it starts with to tell any two apart."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.2 * noise)
    return model.eval()


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [2, SIZE, SIZE, 3], and what their features are weighed with, float32 [2, WIDTH]."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    return images, random.normal(size=(2, WIDTH)).astype("float32")


def write(folder: Path, name: str, features: Callable[[torch.Tensor], torch.Tensor], pixels: Pixels) -> None:
    """The case's golden.npz."""
    images, weights = examples()
    raw = torch.tensor(images, dtype=torch.float32, requires_grad=True)
    mean, std = (torch.tensor(each) for each in pixels)
    found = features(((raw / 255 - mean) / std).permute(0, 3, 1, 2))
    (found * torch.tensor(weights)).sum().backward()
    np.savez_compressed(
        folder / name / "golden.npz", images=images, features=found.detach().numpy(), weights=weights,
        gradient=raw.grad.numpy(),
    )  # fmt: skip
    print(name)


# What timm makes each of.
TIMM: dict[str, tuple[str, dict[str, object]]] = {
    "timm_vit": ("vit_tiny_patch16_224", {}),
    "timm_deit_distilled": ("deit_tiny_distilled_patch16_224", {}),
    "timm_deit3": ("deit3_small_patch16_224", {}),
    "timm_dinov2": ("vit_small_patch14_dinov2", {}),
    "timm_dinov2_registers": ("vit_small_patch14_reg4_dinov2", {}),
    "timm_clip": ("vit_base_patch32_clip_quickgelu_224", {}),
    "timm_siglip": ("vit_base_patch32_siglip_256", {}),
    "timm_average": ("vit_base_patch16_reg4_gap_256", {}),
    "timm_mae_finetuned": ("vit_base_patch16_224", {"global_pool": "avg"}),
    "timm_qk_norm": ("vit_tiny_patch16_224", {"qk_norm": True}),
    "timm_dinov3": ("vit_small_patch16_dinov3", {"num_heads": 2}),
    "timm_dinov3_gated": ("vit_small_plus_patch16_dinov3_qkvb", {"num_heads": 2}),
}


def of_timm(folder: Path) -> None:
    for case, (name, options) in TIMM.items():
        arguments = {
            "img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, **options,
        }  # fmt: skip
        model = drawn(timm.create_model(name, **arguments))
        timm.models.save_for_hf(model, folder / case, model_args=arguments, safe_serialization="both")
        (folder / case / "pytorch_model.bin").unlink()

        def features(x: torch.Tensor, model: torch.nn.Module = model) -> torch.Tensor:
            tokens = model.forward_features(x)
            if model.global_pool == "map":
                return tokens.mean(1)
            if hasattr(model, "head_dist"):
                return tokens[:, 0]
            return model.forward_head(tokens, pre_logits=True)

        configured = model.pretrained_cfg
        write(folder, case, features, (configured["mean"], configured["std"]))


ACTIVATIONS = {"GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu"}


def facts_of_timm(folder: Path) -> None:
    """What timm makes of each name of a model whose blocks are as ours, and that of one whose are not."""
    found: dict[str, list[Any] | None] = {}
    for name in timm.list_models(["vit_*", "deit*", "eva_*", "beit3_*", "test_vit*"]):
        try:
            with torch.device("meta"):
                model = timm.create_model(name, depth=1)
        except (RuntimeError, TypeError):
            continue  # it has no depth to set
        if not type(model).__name__.startswith("VisionTransformer") or "RelPos" in type(model).__name__:
            continue
        block, kind = model.blocks[0], type(model.blocks[0]).__name__
        if kind == "ResPostBlock":
            found[name] = None
        elif kind == "Block" and type(model.patch_embed).__name__ == "PatchEmbed":  # others differ in their tensors
            activation = ACTIVATIONS.get(type(getattr(block.mlp, "act", None)).__name__)
            if activation and type(block.norm1).__name__ == "LayerNorm":
                found[name] = [model.embed_dim, block.attn.num_heads, block.norm1.eps, activation]
    lines = (f"{json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(found.items()))
    (folder / "timm.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def of_transformers(folder: Path) -> None:
    shared = {
        "image_size": SIZE, "patch_size": PATCH, "hidden_size": WIDTH, "num_hidden_layers": DEPTH,
        "num_attention_heads": HEADS, "intermediate_size": 4 * WIDTH,
    }  # fmt: skip
    two_heads = shared | {"num_attention_heads": 2}  # rotary positions need a head of a multiple of 4
    t = transformers
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9}
    cases = {
        "transformers_vit": (t.ViTForImageClassification(t.ViTConfig(**shared, num_labels=3)), HALF),
        "transformers_vit_bare": (t.ViTModel(t.ViTConfig(**shared)), HALF),
        "transformers_deit": (t.DeiTModel(t.DeiTConfig(**shared)), IMAGENET),
        "transformers_dinov2": (t.Dinov2Model(t.Dinov2Config(**shared)), IMAGENET),
        "transformers_dinov2_registers": (
            t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**shared)), IMAGENET),
        "transformers_dinov3": (t.DINOv3ViTModel(t.DINOv3ViTConfig(**two_heads, num_register_tokens=2)), IMAGENET),
        "transformers_dinov3_gated": (
            t.DINOv3ViTModel(t.DINOv3ViTConfig(**two_heads, use_gated_mlp=True, hidden_act="silu")), IMAGENET),
        "transformers_clip": (t.CLIPModel(t.CLIPConfig(vision_config=shared, text_config=text)), CLIP),
        "transformers_clip_vision": (t.CLIPVisionModel(t.CLIPVisionConfig(**shared)), CLIP),
        "transformers_siglip": (t.SiglipVisionModel(t.SiglipVisionConfig(**shared)), HALF),
    }  # fmt: skip
    for case, (model, (mean, std)) in cases.items():
        drawn(model).save_pretrained(folder / case)
        processor = {"do_normalize": True, "rescale_factor": 1 / 255, "image_mean": mean, "image_std": std}
        (folder / case / "preprocessor_config.json").write_text(json.dumps(processor))

        def features(x: torch.Tensor, model: torch.nn.Module = model, case: str = case) -> torch.Tensor:
            vision = getattr(model, "vision_model", getattr(model, "vit", model))
            tokens = vision(pixel_values=x).last_hidden_state
            if case.endswith("siglip"):
                return tokens.mean(1)
            normed = "clip" not in case  # CLIP's last normalisation is of what is pooled
            return tokens[:, 0] if normed else vision.post_layernorm(tokens[:, 0])

        write(folder, case, features, (mean, std))


def of_others(folder: Path) -> None:
    vision = {"image_size": SIZE, "patch_size": PATCH, "width": WIDTH, "layers": DEPTH, "head_width": WIDTH // HEADS}
    text = {"context_length": 4, "vocab_size": 9, "width": 8, "heads": 1, "layers": 1}
    model = drawn(open_clip.CLIP(embed_dim=5, vision_cfg=vision, text_cfg=text, quick_gelu=True))
    case = folder / "open_clip"
    case.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), case / "open_clip_model.safetensors")
    config = {
        "model_cfg": {"embed_dim": 5, "vision_cfg": vision, "text_cfg": text, "quick_gelu": True},
        "preprocess_cfg": {"mean": CLIP[0], "std": CLIP[1]},
    }
    (case / "open_clip_config.json").write_text(json.dumps(config))
    model.visual.proj = None
    write(folder, "open_clip", model.visual, CLIP)

    model = drawn(torchvision.models.VisionTransformer(SIZE, PATCH, DEPTH, HEADS, WIDTH, 4 * WIDTH, num_classes=3))
    case = folder / "torchvision"
    case.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), case / "vit.safetensors")
    model.heads = torch.nn.Identity()
    write(folder, "torchvision", model, IMAGENET)


class FlaxVit(nn.Module):
    """The Vision Transformer of vit_jax or big_vision by Flax' own layers, named as those name them."""

    attention: str
    norm: str
    mlp: str
    class_token: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(WIDTH, (PATCH, PATCH), (PATCH, PATCH), padding="VALID", name="embedding")(x)
        x = x.reshape(len(x), -1, WIDTH)
        if self.class_token:
            token = self.param("cls", nn.initializers.zeros, (1, 1, WIDTH))
            x = jnp.concatenate([jnp.tile(token, (len(x), 1, 1)), x], 1)
        else:
            x += self.param("pos_embedding", nn.initializers.zeros, (1, x.shape[1], WIDTH))
        x = FlaxEncoder(self.attention, self.norm, self.mlp, self.class_token, name="Transformer")(x)
        return x[:, 0] if self.class_token else x.mean(1)


class FlaxEncoder(nn.Module):
    """Its blocks."""

    attention: str
    norm: str
    mlp: str
    positions: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.positions:
            x = FlaxPositions(name="posembed_input")(x)
        for index in range(DEPTH):
            x = FlaxBlock(self.attention, self.norm, self.mlp, name=f"encoderblock_{index}")(x)
        return nn.LayerNorm(name="encoder_norm")(x)


class FlaxPositions(nn.Module):
    """A learned table."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.param("pos_embedding", nn.initializers.zeros, (1, *x.shape[1:]))


class FlaxBlock(nn.Module):
    """Attention and MLP."""

    attention: str
    norm: str
    mlp: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.LayerNorm(name="LayerNorm_0")(x)
        x += nn.MultiHeadDotProductAttention(HEADS, name=self.attention)(y, y)
        return x + FlaxMlp(name=self.mlp)(nn.LayerNorm(name=self.norm)(x))


class FlaxMlp(nn.Module):
    """Two dense layers."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(WIDTH, name="Dense_1")(nn.gelu(nn.Dense(4 * WIDTH, name="Dense_0")(x)))


def of_flax(folder: Path) -> None:
    cases = {
        "vit_jax": (FlaxVit("MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3", True), ""),
        "big_vision": (FlaxVit("MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0", False), "params/"),
    }
    for case, (model, prefix) in cases.items():
        random = np.random.default_rng(0)
        start = model.init(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))["params"]

        def draw(path: Any, value: jax.Array, random: np.random.Generator = random) -> np.ndarray:
            return float(path[-1].key == "scale") + 0.2 * random.normal(size=value.shape).astype("float32")

        parameters = jax.tree_util.tree_map_with_path(draw, start)
        arrays = {prefix + "/".join(names): np.asarray(value) for names, value in flatten_dict(parameters).items()}
        head = {f"{prefix}head/kernel": np.zeros((WIDTH, 3), "float32"), f"{prefix}head/bias": np.zeros(3, "float32")}
        (folder / case).mkdir(parents=True, exist_ok=True)
        np.savez(folder / case / "vit.npz", **arrays, **head)
        images, weights = examples()

        apply = functools.partial(model.apply, {"params": parameters})
        found, backward = jax.vjp(lambda raw, apply=apply: apply(raw / 127.5 - 1), images.astype("float32"))
        (gradient,) = backward(jnp.asarray(weights))
        np.savez_compressed(
            folder / case / "golden.npz", images=images, features=found, weights=weights, gradient=gradient
        )
        print(case)


def resampling(folder: Path) -> None:
    """What timm makes of positions and of patch projections for other sizes."""
    random = np.random.default_rng(2)
    positions = random.normal(size=(1, 1 + 7 * 7, 5)).astype("float32")
    kernel = random.normal(size=(4, 3, 8, 8)).astype("float32")
    found = {"positions": positions, "kernel": kernel}
    for side in (3, 4, 5, 9, 12, 14):
        found[f"positions_{side}"] = resample_abs_pos_embed(torch.tensor(positions), [side, side]).numpy()
    for side in (4, 6, 7, 10, 12, 16):
        found[f"kernel_{side}"] = resample_patch_embed(torch.tensor(kernel), [side, side]).numpy()
    np.savez_compressed(folder / "resampling.npz", **found)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    of_timm(folder)
    facts_of_timm(folder)
    of_transformers(folder)
    of_others(folder)
    of_flax(folder)
    resampling(folder)


if __name__ == "__main__":
    main()
