"""Fails unless a run's test accuracy is high enough: check_accuracy.py RUN LEAST."""

import json
import sys
from pathlib import Path

run, least = Path(sys.argv[1]), float(sys.argv[2])
accuracy = json.loads((run / "report.json").read_text())["test"]["accuracy"]
print(f"{run}: test accuracy {accuracy:.4f}, at least {least} is wanted")
sys.exit(accuracy < least)
