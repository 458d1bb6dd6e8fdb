"""Sweeps: many runs of `vit-train`, each in a process of its own. Never loads TensorFlow, Keras or JAX."""
