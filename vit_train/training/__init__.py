"""From a model and images to weights: objective, optimizer, loop."""
