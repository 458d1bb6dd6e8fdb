"""What a run takes of its machine: backend, precision, GPU."""
