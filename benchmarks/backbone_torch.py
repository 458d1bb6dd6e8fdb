"""What a user of PyTorch would run on a pretrained ViT: backbone_torch.py LIBRARY MODEL TASK [OPTIONS of turns.py].

LIBRARY is timm or transformers, MODEL vit_tiny or vit_small, TASK train (all weights, AdamW) or features. Weights and
images are random.
"""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812, its name everywhere

from benchmarks import turns

CLASSES, SIZES = 100, {"vit_tiny": (192, 3), "vit_small": (384, 6)}


def network(library, name, size):
    """(float images -> logits, float images -> features [B, D]); patches of 16 pixels, 12 blocks."""
    width, heads = SIZES[name]
    if library == "timm":
        import timm

        model = timm.create_model(f"{name}_patch16_224", img_size=size, num_classes=CLASSES)
        return model, lambda images: model.forward_head(model.forward_features(images), pre_logits=True)
    from transformers import ViTConfig, ViTForImageClassification

    shape = {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width, "image_size": size}
    model = ViTForImageClassification(ViTConfig(**shape, num_labels=CLASSES))
    model.forward_logits = lambda images: model(images).logits
    return model, lambda images: model.vit(images).last_hidden_state[:, 0]


def main():
    options, (library, name, task) = turns.settings()
    random = np.random.default_rng(0)
    pixels = (options.images, 3, options.image_size, options.image_size)
    images = torch.from_numpy(random.integers(0, 256, pixels, np.uint8))
    labels = torch.from_numpy(random.integers(0, CLASSES, options.images))
    model, features = network(library, name, options.image_size)
    logits_of = getattr(model, "forward_logits", model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    model.train(task == "train")

    def work(count):
        for batch in torch.arange(count).split(options.batch_size):
            x = (images[batch].float() - 127.5) / 64
            with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
                if task == "features":
                    with torch.inference_mode():
                        result = features(x)
                    continue
                logits = logits_of(x)
            result = F.cross_entropy(logits.float(), labels[batch])
            optimizer.zero_grad()
            result.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return result.sum().item()

    turns.train(work, options, library=f"{library}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
