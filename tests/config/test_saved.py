"""A config.yaml of an older or a newer version, or one that is none."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from vit_train.config import saved
from vit_train.config.compose import load_config, to_yaml
from vit_train.config.convert import _leaf, convert, former_names, key, keys_of
from vit_train.config.schema import Config, SweepConfig
from vit_train.errors import ConfigError
from vit_train.text import setting


@dataclass(frozen=True)
class Inner:
    depth: int = key("depth", absent=3)
    width: int = key("width", was=("breadth", "span"))


@dataclass(frozen=True)
class Plain:
    name: Literal["plain"] = key("which", absent="plain")
    rate: float = key("rate")


@dataclass(frozen=True)
class Fancy:
    name: Literal["fancy"] = key("which")
    rate: float = key("rate")
    twist: int = key("twist", absent=0)


@dataclass(frozen=True)
class Newer:
    """A section that came later, with all its keys."""

    smoothing: float = key("smoothing", absent=0.0)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    kind: Plain | Fancy
    newer: Newer
    seed: int = key("seed")


def test_an_older_file_has_todays_names_and_what_its_silence_meant():
    values = {"inner": {"breadth": 7}, "kind": {"rate": 0.1}, "seed": 1}
    assert convert(Outer, saved.in_todays_keys(Outer, values)) == Outer(Inner(3, 7), Plain("plain", 0.1), Newer(0.0), 1)


def test_a_variant_that_is_named_is_filled_with_its_own():
    values = {"inner": {"span": 7, "depth": 1}, "kind": {"name": "fancy", "rate": 0.1}, "seed": 1}
    assert convert(Outer, saved.in_todays_keys(Outer, values)).kind == Fancy("fancy", 0.1, 0)


@pytest.mark.parametrize(
    ("values", "name"),
    [({"width": 1, "breadth": 2}, "breadth"), ({}, "width"), ({"depth": 1}, "width"), ({"widht": 1}, "widht")],
)
def test_what_no_version_had_is_refused(values, name):
    with pytest.raises(ConfigError, match=rf"^{name}: "):
        convert(Inner, saved.in_todays_keys(Inner, values))


@pytest.mark.parametrize("config", [Config, SweepConfig])
def test_what_absence_means_is_a_value_that_the_key_can_have(config):
    for name, field, kind in keys_of(config):
        if field.metadata["absent"] is not saved.ABSENT:
            _leaf(name, field.metadata["absent"], kind, field.metadata["limits"])


def test_a_former_name_is_nobodys_name_today():
    assert former_names(Config)["train.skip_bad_steps"] == "train.skip_nonfinite_steps"
    assert not former_names(Config).keys() & {name for name, _, _ in keys_of(Config)}


def written(tmp_path: Path, *replace: tuple[str, str]) -> str:
    """A file with the default config, in which text is replaced."""
    text = to_yaml(load_config())
    for old, new in replace:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "config.yaml").write_text(text)
    return str(tmp_path / "config.yaml")


def test_a_file_of_version_1_is_read_and_overridden_by_todays_names(tmp_path):
    file = written(tmp_path, ("version: 2\n", ""), ("skip_nonfinite_steps: 0", "skip_bad_steps: 4"))
    assert load_config([], file).train.skip_nonfinite_steps == 4
    assert load_config(["train.skip_nonfinite_steps=5"], file).train.skip_nonfinite_steps == 5
    with pytest.raises(ConfigError) as error:
        load_config(["train.skip_bad_steps=5"], file)
    assert str(error.value) == (
        "train.skip_bad_steps=5: train.skip_bad_steps is called train.skip_nonfinite_steps now; write "
        "train.skip_nonfinite_steps=VALUE"
    )


def test_a_newer_file_is_read_and_what_is_left_out_is_said(tmp_path, capsys):
    file = written(tmp_path, ("version: 2\n", "version: 9\nlater: {a: 1}\n"), ("  depth: 8", "  depth: 8\n  wings: 2"))
    assert load_config(["seed=1"], file).seed == 1
    assert capsys.readouterr().err == (
        f"note: {file}: is of version 9, this vit-train of 2; keys that it does not know are left out: "
        "later, model.wings\n"
    )


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        (("  depth: 8\n", ""), "model.depth: is missing; every key needs a value"),
        (("  depth: 8\n", "  depth: 0\n"), "model.depth=0: must be at least 1"),
        (("  depth: 8\n", "  depth: 8\n  depth: 9\n"), "cannot be read (line N: depth is there twice)"),
        (("  depth: 8\n", "  depth: 8\n  3: 9\n"), "cannot be read (line N: a key must be text)"),
        (("version: 2\n", "version: two\n"), "version=two: must be a whole number from 1 on"),
        (("seed: 42", "seed: " + "9" * 5000), "cannot be read (Exceeds the limit (4300 digits)"),
        (("seed: 42", "seed: 4\0002"), "cannot be read ("),
        (("seed: 42", "seed: !!python/name:os.system"), "cannot be read (line N: could not determine a constructor"),
        (("seed: 42", "seed: ${nope}"), "seed=${nope}: must be a whole number"),
        (("seed: 42", "seed: " + "[" * 100_000), "cannot be read (line N: nested more than 20 levels deep)"),
    ],
)  # fmt: skip
def test_a_fault_of_the_file_names_it(tmp_path, replace, message):
    file = written(tmp_path, replace)
    with pytest.raises(ConfigError) as error:
        load_config(["seed=3"] if "seed" not in replace[0] else [], file)
    assert re.sub(r"line \d+", "line N", str(error.value)).startswith(f"{file}: {message}")
    assert str(error.value).isprintable()


def test_a_fault_of_an_override_does_not(tmp_path):
    with pytest.raises(ConfigError, match=r"^model\.depth=0: must be at least 1$"):
        load_config(["model.depth=0"], written(tmp_path))


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read (it holds no keys)"),
        (b"42", "cannot be read (it holds no keys)"),
        (b"[1, 2]", "cannot be read (it holds no keys)"),
        (b"null", "cannot be read (it holds no keys)"),
        (b"\x00" * 100, "cannot be read ("),
        (b"dataset: \xff\xfe", "cannot be read ("),
        (b"a: [1", "cannot be read (line 2: "),
        (b"a: b: c", "cannot be read (line 1: mapping values are not allowed in this context)"),
        (BOMB.encode(), "cannot be read (line 2: aliases are not taken; write the value itself)"),
        (b"a: &a [*a]", "cannot be read (line 1: aliases"),
        (b"a: " * 100_000, "cannot be read ("),
        (b"- " * 100_000, "cannot be read (line 1: nested more than 20 levels deep)"),
        (b"a" * 300_000, "cannot be read (it has 300,000 bytes, and at most 262,144 are read)"),
    ],
)
def test_what_is_no_config_is_one_sentence(tmp_path, content, reason):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        saved.read(tmp_path / "config.yaml")
    assert str(error.value).startswith(f"{tmp_path}/config.yaml: {reason}")
    assert str(error.value).isprintable()


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        (tmp_path / "fifo", "it is no regular file"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "it is no regular file"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "absent", "No such file or directory"),
    ):
        with pytest.raises(ConfigError) as error:
            saved.read(path)
        assert str(error.value) == f"{path}: cannot be read ({reason})"


def test_numbers_dates_and_text_are_as_on_the_command_line(tmp_path):
    (tmp_path / "c.yaml").write_text("a: 1e-3\nb: 2024-01-01\nc: '1e3'\nd: 0x10\ne: .5\nf: 1.5e3\ng: 1_000\n")
    values = saved.read(tmp_path / "c.yaml").values
    assert {name: values[name] for name in "abcdefg"} == {
        "a": 0.001, "b": "2024-01-01", "c": "1e3", "d": 16, "e": 0.5, "f": 1500.0, "g": 1000,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/pics/${seed}", "\\${x}/${", "$HOME"])
def test_a_path_with_the_marks_of_a_reference_is_a_path_in_a_file(tmp_path, path):
    config = load_config([setting("dataset.root", path)])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(["seed=3"], str(tmp_path / "config.yaml")).dataset.root == config.dataset.root == path


def test_what_lies_beside_the_file_is_not_looked_at(tmp_path):
    """Hydra would take the folder figures as a group of options, and foo.yaml for foo.txt."""
    written(tmp_path)
    for name in ("figures", "model", "seed"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.yaml").rename(tmp_path / "foo.txt")
    (tmp_path / "foo.yaml").write_text("seed: 7\n")
    config = load_config(["figures=false", "model.depth=3"], str(tmp_path / "foo.txt"))
    assert (config.figures, config.model.depth, config.seed) == (False, 3, 42)


def test_an_argument_refers_to_keys_of_the_file(tmp_path):
    file = written(tmp_path, ("projection_dim: 64", "projection_dim: 48"))
    assert load_config(["model.key_dim=${.projection_dim}"], file).model.key_dim == 48
