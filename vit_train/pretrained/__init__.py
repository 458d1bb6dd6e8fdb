"""Weights that training starts from: files of them, and what the tensors of each family are in our models."""
