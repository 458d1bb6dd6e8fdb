"""What the corpora of broken files share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vit_train import cli

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def refused(tensorflow: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`refused("table", PATH)`: the one sentence with which the command refuses data, exit code 3, nothing created."""

    def run(kind: str, root: Path, *overrides: str) -> str:
        def there() -> set[Path]:
            return {*tmp_path.rglob("*")} - {tmp_path / "cache", tmp_path / "cache" / "vit-train"}

        before = there()
        capsys.readouterr()
        code = cli.run([f"dataset={kind}", f"dataset.root={root}", f"outputs={tmp_path}/outputs", "model.image_size=8",
                        "model.patch_size=4", *overrides])  # fmt: skip
        stdout, stderr = capsys.readouterr()
        assert (code, stdout) == (3, ""), stderr
        (sentence,) = (line for line in stderr.splitlines() if line.startswith("vit-train: "))
        assert stderr.splitlines()[-1] == sentence
        assert there() == before
        return sentence.removeprefix("vit-train: ")

    return run


_LOADING = """
import sys, resource
from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
try:
    import pyarrow.parquet
except ImportError:
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_all(load_config(sys.argv[1:]))
except Exception as error:
    print(type(error).__name__)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.fixture
def memory_to_refuse(tmp_path: Path) -> Callable[[str, Path], int]:
    """`memory_to_refuse("npz", PATH)`: bytes by which the most memory of a process grows that refuses data."""

    def run(kind: str, root: Path) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _LOADING, f"dataset={kind}", f"dataset.root={root}"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(tmp_path / "cache")},
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        error, grown = done.stdout.split()
        assert error == "DataError"
        return int(grown)

    return run
