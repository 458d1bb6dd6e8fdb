"""Models: images -> logits."""
