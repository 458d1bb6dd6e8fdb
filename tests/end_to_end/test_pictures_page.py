"""docs/pictures.md, followed to the letter: every command of it, in its order, in one folder."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_train import cli
from vit_train.runs.cli import parser
from vit_train.runs.cli import run as vit_runs

PAGE = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line.strip()
]
SMALL = ("model.depth=1", "train.epochs=2", "train.steps_per_epoch=2", "train.batch_size=16", "figures=false",
         "model.projection_dim=16", "model.heads=2", "model.key_dim=8", "train.low_resolution_epochs=1",
         "schedule.warmup=1")  # fmt: skip


def made(folder):
    """Pictures of odd shapes, of which dogs are rather red; one dog is among the cats."""
    generator = np.random.default_rng(0)
    for kind, count in (("cat", 30), ("dog", 30)):
        (folder / "pets" / kind).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(
                0, 256, (6, 6, 3), np.uint8
            )  # so coarse that no two look alike to vit-runs check
            pixels[..., 0 if kind == "dog" else 2] |= 128
            sides = tuple(map(int, generator.integers(40, 90, 2)))
            Image.fromarray(pixels).resize(sides).save(folder / "pets" / kind / f"{index}.png")
    (folder / "pets/dog/0.png").rename(folder / "pets/cat/rex2.png")
    (folder / "holiday").mkdir()
    Image.fromarray(generator.integers(0, 256, (50, 300, 3), np.uint8)).save(folder / "holiday" / "sea.jpg")


@pytest.mark.slow
def test_a_newcomer_can_follow_the_page(eagerly, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made(tmp_path)
    runs = []
    for line in COMMANDS:
        program, *arguments = shlex.split(line.split(" > ")[0])
        if program == "mv":
            Path(arguments[0]).rename(Path(arguments[1]) / Path(arguments[0]).name)
        elif program == "vit-train":
            assert cli.run([*arguments, *SMALL]) == 0, line
            runs.append(capsys.readouterr().out.splitlines()[-1])
        elif arguments[0] == "demo":  # it serves until it is stopped
            parser().parse_args(arguments)
        else:
            if arguments[0] == "compare":
                arguments = ["compare", *runs]
            assert vit_runs(arguments) == 0, line
    assert Path("pets/dog/rex2.png").is_file()
    assert Path("pets.onnx").is_file()
    assert Path("check/check.html").is_file()
    assert len(runs) == 2
