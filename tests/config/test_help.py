import html
import re

import pytest

from vit_train.config.arguments import kinds
from vit_train.config.convert import keys_of
from vit_train.config.groups import groups
from vit_train.config.help import help_about, help_markdown, help_text
from vit_train.config.schema import Config, SweepConfig
from vit_train.config.usage import first_page
from vit_train.errors import ConfigError

LINES = help_text().splitlines()


def test_every_key_stands_with_default_and_meaning():
    """Once, but for the keys that several models or launchers have."""
    for name, field, _ in (*keys_of(Config), *keys_of(SweepConfig, "sweep.")):
        index, *others = [i for i, line in enumerate(LINES) if line.startswith(f"  {name} = ")]
        assert field.metadata["doc"] in LINES[index + 1]
        assert not others or name.startswith(("model.", "head.", "optimizer.", "sweep.launcher."))


def test_the_page_of_all_keys_has_each_once_with_default_meaning_and_limits():
    page = html.unescape(help_markdown())
    sections = {text.splitlines()[0]: text for text in page.split("\n## ")[1:]}
    assert len(sections) == page.count("\n## ")
    found = {
        (name, entry[0], entry[1]): entry[2].removesuffix(".") + " " + entry[3]
        for name, text in sections.items()
        for entry in re.findall(r"^`(\S+) = (.*)`\n:   (.*)\n    \*(.*)\*$", text, re.MULTILINE)
    }
    assert len(found) == page.count("\n:   ") == sum(line.startswith("      ") and ": " in line for line in LINES)
    for name, field, _ in (*keys_of(Config), *keys_of(SweepConfig, "sweep.")):
        about = [text for (_, key, _), text in found.items() if key == name]
        assert about[0].startswith(field.metadata["doc"].rstrip(".")), name
    assert found["train", "train.epochs", "100"].endswith("a whole number, >= 1")
    for group, options in groups().items():
        assert len(options) == 1 or all(f"- `{group}={option}`" in page for option in options)


def test_each_model_stands_with_its_own_keys():
    start = LINES.index("Keys of model=resnet50v2 (default; type; meaning)")
    keys = [line.split(" = ")[0] for line in LINES[start + 1 : start + 9 : 2]]
    assert keys == ["  model.name", "  model.image_size", "  model.mean", "  model.std"]
    assert LINES[start + 9] == ""
    assert "  model.head_units = [1024,256]" in LINES


def test_the_first_page_is_one_screen_with_every_option():
    lines = first_page().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    words = " ".join(first_page().split())
    for group, options in groups().items():
        assert f"{group} {', '.join(options)}" in words or len(options) == 1, group
    commands = [line.split("   ")[0].split(" ...")[0].split()[1:] for line in lines if line.startswith("  vit-train ")]
    assert len(commands) >= 10
    for arguments in commands:
        for key in (each.split("=")[0] for each in arguments if "=" in each):
            assert key in kinds() or key in groups() or key == "KEY", key


def test_defaults_are_shown_as_typed():
    for line in ("  model.head_units = [2048,1024]", "  dataset.root = null", "  train.epochs = 100"):
        assert line in LINES
    assert not any("2.14748e+09" in line for line in LINES)


def test_help_about_a_section_or_a_part_of_a_key():
    assert help_about("optimizer").startswith("Options of optimizer\n  adamw")
    assert help_about("train").startswith("Keys of train ")
    assert "train.epochs" not in help_about("model")
    found = help_about("learning_rate")
    assert "  optimizer.learning_rate = " in found
    assert "model.depth" not in found
    assert help_about("train.epochs").splitlines()[1:2] == ["  train.epochs = 100"]
    assert help_about("train.epochs").count("\n") == 3
    assert "projection_dim" not in help_about("model=resnet50v2")
    assert "\n  vit_tiny          ViT-Ti/16 at 224 pixels" in help_about("model")
    assert help_about("experiment").startswith("Options of experiment\n  compact ")
    with pytest.raises(ConfigError, match=r"^--help modle: there is no key modle"):
        help_about("modle")
