import json
import subprocess
from pathlib import Path

from vit_train.rundir import environment


def test_versions_machine_and_command():
    described = environment.describe_environment("cpu:0", 2, "vit-train seed=1")
    assert json.loads(json.dumps(described)) == described
    assert (described["device"], described["devices"]) == ("cpu:0", 2)
    assert described["packages"]["keras"].startswith("3.")
    assert described["cpus"] >= 1
    assert described["command"] == "vit-train seed=1"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_git_state(tmp_path):
    assert environment._git_state(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    assert environment._git_state(tmp_path) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "modified": False}
    (tmp_path / "file").touch()
    assert environment._git_state(tmp_path)["modified"]
