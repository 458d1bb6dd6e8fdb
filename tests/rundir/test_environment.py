import json
import subprocess
from pathlib import Path

from vit_train.rundir import environment
from vit_train.rundir.layout import RunDir


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


def test_a_relative_root_is_looked_for_where_the_run_started(tmp_path, monkeypatch):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    monkeypatch.chdir(run.path)
    assert environment.data_root(run, "pictures") == "pictures"  # without environment.json
    run.environment.write_text(json.dumps({"working_directory": str(tmp_path / "start")}))
    assert environment.data_root(run, "pictures") == "pictures"
    assert environment.data_root(run, None) is None
    (tmp_path / "start" / "pictures").mkdir(parents=True)
    assert environment.data_root(run, "pictures") == str(tmp_path / "start" / "pictures")
    (run.path / "pictures").mkdir()
    assert environment.data_root(run, "pictures") == "pictures"
