"""Reports: metrics -> files."""
