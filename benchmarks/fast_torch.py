"""What a user of PyTorch would write for the recipe `fast`: its network, Muon beside AdamW, averaged weights.

Images are mirrored and shifted on the whole batch. fast_torch.py [OPTIONS of turns.py] [SHAPE] [compile], a shape of
shapes.py; needs PyTorch and NumPy only.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812, its name everywhere
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks import turns
from benchmarks.shapes import CLASSES, shape_of


class Block(nn.Module):
    """Pre-norm attention and MLP, with a depthwise convolution over the tokens between its two layers."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm, self.mlp_norm = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.hidden, self.output = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.neighbours = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y = F.gelu(self.hidden(self.mlp_norm(x)), approximate="tanh")
        side = math.isqrt(y.shape[1])
        grid = y.transpose(1, 2).unflatten(-1, (side, side))  # channels last in memory
        y = y + self.neighbours(grid).flatten(2).transpose(1, 2)
        return x + self.output(y)


class VisionTransformer(nn.Module):
    """float images [B, 3, S, S] -> logits [B, CLASSES]."""

    def __init__(self, size, shape):
        super().__init__()
        stem, width, depth, heads = shape
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(), nn.Conv2d(stem, width, 3, 2, 1)
        )
        self.positions = nn.Parameter(torch.empty((size // 4) ** 2, width).normal_(0, 0.02))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width, eps=1e-6))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images):
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        return self.head(self.blocks(x.flatten(2).transpose(1, 2) + self.positions).mean(1))


class Muon(torch.optim.Optimizer):
    """The reference's step for matrices, in float32, which a processor without bfloat16 multiplies faster."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                m = self.state[w].setdefault("momentum", torch.zeros_like(w))
                m.lerp_(w.grad, 0.05)
                x = w.grad.lerp(m, 0.95)
                x = x.T if len(x) > x.shape[1] else x
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    gram = x @ x.T
                    x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315), x, beta=3.4445)
                x = x.T if len(w) > w.shape[1] else x
                w.mul_(1 - group["decay"]).sub_(x, alpha=group["lr"] * 0.2 * math.sqrt(max(w.shape)))


def optimizers(model):
    """Muon for the matrices of the blocks, AdamW for all else."""
    matrices = [each for each in model.blocks.parameters() if each.ndim == 2]
    others = [each for each in model.parameters() if all(each is not matrix for matrix in matrices)]
    muon = Muon(matrices, {"lr": 8e-3, "decay": 1e-3})
    return muon, torch.optim.AdamW(others, lr=2e-3, weight_decay=0.05, betas=(0.9, 0.98))


def augment(images, size):
    """uint8 [B, 3, S, S], mirrored and shifted by up to 4 pixels, as normalised floats of `size` pixels."""
    images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images, images.flip(-1))
    across, down = torch.randint(0, 9, (2, len(images), 1))
    padded, reach = F.pad(images, (4, 4, 4, 4)), torch.arange(images.shape[-1])
    index = torch.arange(len(images))[:, None, None]
    images = padded.permute(0, 2, 3, 1)[index, (down + reach)[:, :, None], (across + reach)[:, None, :]]
    images = (images.permute(0, 3, 1, 2).float() - 127.5) / 64
    return images if images.shape[-1] == size else F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def main():
    options, rest = turns.settings()
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (options.images, 3, 32, 32), np.uint8))
    labels = torch.from_numpy(random.integers(0, CLASSES, options.images))
    model = VisionTransformer(options.image_size, shape_of(rest)).to(memory_format=torch.channels_last).train()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    muon, adamw = optimizers(model)
    run = torch.compile(model) if "compile" in rest else model

    def train(count):
        for batch in torch.randperm(count).split(options.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
                logits = run(augment(images[batch], options.image_size))
            loss = F.cross_entropy(logits.float(), labels[batch], label_smoothing=0.1)
            for each in (muon, adamw):
                each.zero_grad()
            loss.backward()
            for each in (muon, adamw):
                each.step()
            average.update_parameters(model)
        return loss.item()

    parameters = sum(parameter.numel() for parameter in model.parameters())
    turns.train(train, options, parameters=f"{parameters:,}", library=f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
