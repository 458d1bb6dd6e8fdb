"""Commands and figures in the documents are real."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from vit_train import cli
from vit_train.config.compose import expand, load_config, parse
from vit_train.rundir import resume
from vit_train.runs.cli import parser
from vit_train.sweep import settings
from vit_train.sweep.search import space

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("finetune", "data", "unknown", "pictures", "runs"))
TIMM = f"init={ROOT / 'tests/golden/pretrained/timm_vit'}"
GOLDEN_RUN = next((ROOT / "tests/golden/runs/v1/finished").glob("**/config.yaml")).parent


def commands(text, name):
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = itertools.chain.from_iterable(block.splitlines() for block in blocks)
    return [shlex.split(line.split(" > ")[0], comments=True) for line in lines if line.startswith(name)]


@pytest.mark.parametrize("command", commands(README + PAGES, "vit-runs"), ids=" ".join)
def test_each_command_for_finished_runs_is_understood(command):
    parser().parse_args(command[1:])


COMPARED = re.findall(r"`(vit-(?:train|runs) [^`]*)`", (ROOT / "docs/comparison.md").read_text())


@pytest.mark.parametrize("line", COMPARED)
def test_each_command_beside_other_programs_is_understood(line, capsys):
    command = shlex.split(line)
    if command[0] == "vit-runs":
        parser().parse_args(command[1:])
    elif command[1].startswith("--"):
        assert cli.run(command[1:]) == 0
    else:
        require_config(command)


def test_each_row_beside_other_programs_has_its_command():
    table = (ROOT / "docs/comparison.md").read_text().split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    assert all(len(row) == 7 and re.match("`vit-(train|runs) ", row[1]) for row in rows)


@pytest.mark.parametrize("command", commands(README + PAGES, "vit-train"), ids=" ".join)
def test_each_command_of_the_readme_has_a_config(command):
    require_config(command)


def require_config(command):
    command = [
        re.sub("^init=(timm:.*|vit_small.*)", TIMM, re.sub(r"init=\$?RUN", f"init={GOLDEN_RUN}", text))
        for text in command
    ]
    if "-m" not in command:
        resume.load(command[1:])
        return
    options, overrides = settings.read([argument for argument in command[1:] if argument != "-m"])
    if options.trials:
        space(overrides)
        overrides = [text for text in overrides if not parse(text).is_sweep_override()]
    for run in expand(overrides):
        resume.load(run)


def test_the_recipe_of_the_readme_is_what_it_says(tmp_path, monkeypatch):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "conf/experiment/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    same = ["experiment=fast", "dataset=cifar10", "train.epochs=12", "model.projection_dim=160", "model.key_dim=40"]
    assert load_config(["experiment=mine"]) == load_config(same)


def test_the_error_of_the_readme_is_the_real_one(vit_train):
    command, error = re.search(r"\$ (vit-train .*)\n(.*)\n", README).groups()
    assert vit_train(*command.split()[1:]).stderr == f"{error}\n"


def test_links_lead_to_files():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), (page.name, link)
