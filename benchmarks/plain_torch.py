"""What a user of PyTorch would write: the same network, with `scaled_dot_product_attention` and torch's AdamW.

Images are augmented by one `grid_sample` a batch, which is the fastest way there is in PyTorch itself.
plain_torch.py [OPTIONS of turns.py]; a GPU is used if there is one. Needs PyTorch and NumPy only.
"""

import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812, its name everywhere

from benchmarks import turns

CLASSES, IMAGE, PATCH, WIDTH, HEADS = 100, 72, 6, 64, 4
TOKENS = (IMAGE // PATCH) ** 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Block(nn.Module):
    """Pre-norm attention, whose heads are as wide as a token, and MLP: [B, N, D] -> [B, N, D]."""

    def __init__(self):
        super().__init__()
        self.norm, self.mlp_norm = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * HEADS * WIDTH), nn.Linear(HEADS * WIDTH, WIDTH)
        self.mlp = mlp([WIDTH, 2 * WIDTH, WIDTH], 0.1)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, WIDTH)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.mlp_norm(x))


def mlp(widths, rate):
    """Linear, GELU and dropout layers in turn."""
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.GELU(), nn.Dropout(rate))))


class VisionTransformer(nn.Module):
    """uint8 images [B, 3, 32, 32] -> logits [B, CLASSES]."""

    def __init__(self, depth):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(torch.empty(TOKENS, WIDTH).uniform_(-0.05, 0.05))
        self.blocks = nn.Sequential(*(Block() for _ in range(depth)), nn.LayerNorm(WIDTH, eps=1e-6))
        head = nn.Dropout(0.5), mlp([TOKENS * WIDTH, 2048, 1024], 0.5), nn.Linear(1024, CLASSES)
        self.head = nn.Sequential(nn.Flatten(), *head)

    def forward(self, images):
        x = augment((images.float() - 127.5) / 73.9)
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.blocks(x))


def augment(images):
    """Resize, flip, rotation and zoom of [B, 3, 32, 32] as one resampling to IMAGE x IMAGE."""
    flip, angle, zoom_x, zoom_y = torch.rand(4, len(images), device=images.device) * 2 - 1
    angle, zero = angle * (0.02 * 2 * math.pi), torch.zeros_like(angle)
    cos, sin, mirror = torch.cos(angle), torch.sin(angle), torch.sign(flip)
    zoom_x, zoom_y = 1 + 0.2 * zoom_x, 1 + 0.2 * zoom_y
    rows = [torch.stack([mirror * cos * zoom_x, -mirror * sin * zoom_y, zero], 1)]
    rows += [torch.stack([sin * zoom_x, cos * zoom_y, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(images), 3, IMAGE, IMAGE], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def main():
    options, _ = turns.settings()
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (options.images, 3, 32, 32), np.uint8)).to(DEVICE)
    labels = torch.from_numpy(random.integers(0, CLASSES, options.images)).to(DEVICE)
    model = VisionTransformer(options.depth).to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, eps=1e-7)

    def train(count):
        for batch in torch.randperm(count, device=DEVICE).split(options.batch_size):
            optimizer.zero_grad()
            with torch.autocast(DEVICE, torch.bfloat16, enabled=options.precision == "bfloat16"):
                logits = model(images[batch])
            loss = F.cross_entropy(logits.float(), labels[batch])
            loss.backward()
            optimizer.step()
        return loss.item()  # waits for the device

    parameters = sum(parameter.numel() for parameter in model.parameters())
    turns.train(train, options, parameters=f"{parameters:,}", library=f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
