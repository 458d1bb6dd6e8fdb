"""The commands of docs/finetune.md that a newcomer runs, as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs/finetune.md").read_text().split("## Two minutes to see it")[1].split("\n## ")[0]


@pytest.mark.slow
def test_two_minutes(tmp_path):
    """They have learned; and a file of timm on the disk, whose weights are random, is taken."""
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "vit-train"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vit_train "$@" figures=false\n')
    command.chmod(0o755)
    file = f"init={ROOT}/tests/golden/pretrained/timm_vit train.epochs=1 dataset=npz dataset.root=high.npz"
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    subprocess.run(
        ["sh", "-ec", f"{commands}vit-train experiment=finetune {file}"],
        cwd=tmp_path, env={**os.environ, **environment}, check=True, timeout=1200,
    )  # fmt: skip
    reports = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("outputs/*/*/report.json"))]
    accuracies = [report["test"]["accuracy"] for report in reports]
    assert len(accuracies) == 5
    assert min(accuracies[:4]) > 0.6
