"""What a run can be told: typed keys, and the way from arguments and YAML to them."""
