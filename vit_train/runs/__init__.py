"""The command `vit-runs`: finished runs, put to use."""
