"""Data: a config -> batches."""
