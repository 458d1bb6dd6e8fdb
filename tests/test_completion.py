"""Tab completion, asked for as the shells do, and through each shell that is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vit_train import cli
from vit_train.completion import SCRIPTS
from vit_train.config.convert import keys_of
from vit_train.config.groups import groups
from vit_train.config.schema import Config
from vit_train.runs import cli as runs_cli

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with an option of one's own, a run, and files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIT_TRAIN_CONFIG_DIR", "")
    for name in ("conf/experiment/mine.yaml", f"{RUN}/config.yaml", "pictures/a b.png", "evil.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("model: {name: vit}\n")
    (tmp_path / "evil.py").write_text("open('executed', 'w')\n")


RUN = "outputs/2026-01-02/03-04-05.6-digits-vit"


def candidates(capsys, line, command=cli):
    assert command.run(["--candidates", *line.split(" ")]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("vit-train mo", ["model=", "model."]),
        ("vit-train model.heads", ["model.heads="]),
        ("vit-train train.early_stopping.pa", ["train.early_stopping.patience="]),
        ("vit-train train.ea", ["train.early_stopping."]),
        ("vit-train dataset=", [f"dataset={name}" for name in groups()["dataset"]]),
        ("vit-train experiment=mi", ["experiment=mine"]),
        ("vit-train compute.precision=", [f"compute.precision={each}" for each in ("float32", "bfloat16", "auto")]),
        ("vit-train figures=", ["figures=true", "figures=false"]),
        ("vit-train init=out", [f"init={RUN}", "init=outputs/"]),
        ("vit-train resume=a", ["resume=auto"]),
        ("vit-train outputs=x resume=", ["resume=null", "resume=auto", "resume=conf/", "resume=evil.py",
                                         "resume=outputs/", "resume=pictures/"]),
        ("vit-train dataset.root=pictures/", ["dataset.root=pictures/a b.png"]),
        ("vit-train dataset.exclude=pic", ["dataset.exclude=pictures/"]),
        ("vit-train --config outputs/2026-01-02/", [f"{RUN}/"]),
        ("vit-train --con", ["--config", "--config-dir"]),
        ("vit-train --cfg ", ["job"]),
        ("vit-train --help sche", [each for each in ("schedule", *(name for name, _, _ in keys_of(Config)))
                                   if each.startswith("sche")]),
        ("vit-train sweep.jo", []),
        ("vit-train -m sweep.jo", ["sweep.jobs="]),
        ("vit-train -m sweep=se", ["sweep=seeds"]),
        ("vit-train -m sweep.launcher=s", ["sweep.launcher=slurm"]),
        ("vit-train -m model=vit,resn", ["model=vit,resnet50v2"]),
        ("vit-train optimizer=adamw nonsense=", []),
        ("vit-train plugin=evil.py model=vit_t", ["model=vit_tiny"]),
    ],
)  # fmt: skip
def test_what_a_word_of_vit_train_may_become(here, capsys, line, found):
    assert candidates(capsys, line) == found
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("vit-runs li", ["list"]),
        ("vit-runs show la", ["latest"]),
        ("vit-runs show 2026", ["2026-01-02/03-04-05.6-digits-vit"]),
        ("vit-runs show --outputs elsewhere 2026", []),
        ("vit-runs export latest --form", ["--format"]),
        ("vit-runs export latest --format o", ["onnx"]),
        ("vit-runs predict latest pictures/", ["pictures/a b.png"]),
        ("vit-runs evaluate latest --dataset cifar1", ["cifar10", "cifar100"]),
        ("vit-runs compare latest --reference keras_io_2", ["keras_io_2021"]),
        ("vit-runs nonsense x", []),
    ],
)
def test_what_a_word_of_vit_runs_may_become(capsys, line, found):
    assert candidates(capsys, line, runs_cli) == found


def test_another_shell_is_a_sentence(capsys):
    assert cli.run(["--completion", "tcsh"]) == 2
    assert capsys.readouterr().err == "vit-train: --completion tcsh: must be one of bash, zsh, fish\n"


BASH = """
eval "$(vit-train --completion bash)"
for COMP_LINE in "$@"; do
  COMP_POINT=${#COMP_LINE} word="${COMP_LINE##* }"
  COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  compopt() { :; }
  _vit_train "${COMP_LINE%% *}"; printf '%s\\n' "${COMPREPLY[@]}"; echo .
done
"""
ZSH = """
compdef() { :; }
eval "$(vit-train --completion zsh)"
compadd() { local list=${@[-1]}; print -rl -- "${(@P)list}" | sed '/^$/d'; }
for line in "$@"; do words=("${(@s: :)line}") CURRENT=${#words} PREFIX=${words[-1]} _vit_train; echo .; done
"""
FISH = """
vit-train --completion fish | source
for line in $argv; complete -C $line; echo .; end
"""
LINES = [
    "vit-train experiment=mi",
    "vit-train mode",
    "vit-train dataset.root=pictures/",
    "vit-runs export x --format o",
]
EXPECTED = {
    "bash": [["mine"], ["model=", "model."], ["pictures/a\\ b.png"], ["onnx"]],
    "zsh": [["experiment=mine"], ["model.", "model="], ["dataset.root=pictures/a b.png"], ["onnx"]],
    "fish": [["experiment=mine"], ["model.", "model="], ["dataset.root=pictures/a b.png"], ["onnx"]],
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_through_the_shell(tmp_path, shell):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    for name, module in (("vit-train", "vit_train.cli"), ("vit-runs", "vit_train.runs.cli")):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from {module} import main; exit(main())" "$@"\n')
        file.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    code = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
    arguments = ["-c", code, *([] if shell == "fish" else ["shell"]), *LINES]
    result = subprocess.run(
        [program, *arguments], env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = [block.split("\n") for block in result.stdout.strip("\n").removesuffix(".").strip("\n").split("\n.\n")]
    assert [sorted(each) for each in found] == [sorted(each) for each in EXPECTED[shell]], result.stderr
