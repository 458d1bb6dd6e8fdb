"""What people type is taken as it is meant, or the error says what may have been meant."""

import shlex
import subprocess

import pytest

from vit_train.config.arguments import as_grammar, understood
from vit_train.config.compose import choices, load_config, parse
from vit_train.errors import ConfigError
from vit_train.sweep import settings
from vit_train.text import command, setting

PATHS = [
    "/pics/Müller",
    "照片",
    "New Folder (2)",
    "a=b",
    "a,b",
    "it's",
    "2024",
    "1e3",
    "true",
    "[1] Urlaub",
    "50% off!",
    "C:\\Bilder\\",
    'say "cheese"',
    "a\\'b",
    "#1 & more; rm",
    "$HOME `x`",
    "-x",
    "*",
    "choice(a,b)",
    " a ",
]
HOSTILE = [*PATHS, "'quoted'", '"x"', "null", "[a]", "{a: 1}", "${seed}", "~", "~/runs", "\\${x}"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_taken_as_it_is(path):
    assert parse(f"dataset.root={path}").value() == parse(f"+outputs={path}").value() == path


def test_so_is_the_text_of_a_whole_command():
    config = load_config(["dataset.root=New Folder (2)/照片", "outputs=a=b, it's"])
    assert (config.dataset.root, config.outputs) == ("New Folder (2)/照片", "a=b, it's")


@pytest.mark.parametrize(
    ("text", "value"),
    [("'a b'", "a b"), ('"a b"', "a b"), ("null", None), ("[a,b]", ["a", "b"]), ("", ""), ("/x/${seed}", "/x/${seed}")],
)
def test_quotes_lists_null_and_references_are_what_they_were(text, value):
    assert parse(f"dataset.root={text}").value() == value


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert load_config(["outputs=~/runs"]).outputs == "/home/ada/runs"
    assert parse("sweep.resume=~/runs").value() == "/home/ada/runs"
    assert load_config(["outputs='~/runs'"]).outputs == "~/runs"


def test_a_sweep_splits_what_is_meant_to_be_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert choices("dataset.root=/pics/Müller,/pics/b c") == [
        "dataset.root='/pics/Müller'",
        "dataset.root='/pics/b c'",
    ]
    assert choices("dataset.root='a,b',c") == ["dataset.root='a,b'", "dataset.root=c"]
    assert choices("dataset.root=choice(a,b)") == ["dataset.root=a", "dataset.root=b"]
    assert choices("dataset.root=x,y") == ["dataset.root=x", "dataset.root=y"]
    (tmp_path / "x,y").mkdir()
    assert choices("dataset.root=x,y") == ["dataset.root=x,y"]
    assert settings.read(["sweep.resume=New Folder (2)"])[0].resume == "New Folder (2)"


@pytest.mark.parametrize("path", HOSTILE)
def test_a_printed_command_does_in_a_shell_what_it_says(path):
    line = command(setting("resume", path))
    program = 'for each in "$@"; do printf \'%s\\n\' "$each"; done'
    shell = f"set -- {line.removeprefix('vit-train ')}; {program}"
    printed = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
    (argument,) = shlex.split(line)[1:]
    assert printed == f"{argument}\n"
    assert load_config([argument.replace("resume", "dataset.root", 1)]).dataset.root == path


@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ("model.depth 3", ["model.depth=3"]),
        ("model.depth = 3", ["model.depth=3"]),
        ("model.depth =3", ["model.depth=3"]),
        ("--model.depth=3", ["model.depth=3"]),
        ("--model.depth 3 -m", ["model.depth=3", "-m"]),
        ("experiment quickstart --cfg job", ["experiment=quickstart", "--cfg", "job"]),
        ("--config a.yaml seed=1", ["--config", "a.yaml", "seed=1"]),
        ("seed --help", ["seed", "--help"]),
        ("model=vit seed=1", ["model=vit", "seed=1"]),
        ("quickstart", ["quickstart"]),
    ],
)
def test_a_key_and_its_value_may_stand_apart(typed, arguments):
    assert understood(typed.split()) == arguments


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.epochs=1e2", "epochs", 100),
        ("train.batch_size=32.0", "batch_size", 32),
        ("train.steps_per_epoch=None", "steps_per_epoch", None),
        ("train.reshuffle=yes", "reshuffle", True),
        ("train.reshuffle=Off", "reshuffle", False),
    ],
)
def test_a_value_that_can_mean_one_thing_only_is_taken(text, key, value):
    found = getattr(load_config([text]).train, key)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("quickstart", "'quickstart': is not KEY=VALUE; did you mean experiment=quickstart"),
        ("cifar100", "'cifar100': is not KEY=VALUE; did you mean dataset=cifar100"),
        ("lr=1e-3", "lr=1e-3: there is no key lr; did you mean optimizer.learning_rate"),
        ("train.lr=0.1", "train.lr=0.1: there is no key train.lr; did you mean optimizer.learning_rate"),
        ("depth=3", "depth=3: there is no key depth; did you mean model.depth"),
        ("patience=None", "patience=None: there is no key patience; did you mean train.early_stopping.patience"),
        ("flip=yes", "flip=yes: there is no key flip; did you mean augment.flip"),
        ("precision=fp16", "precision=fp16: there is no key precision; did you mean compute.precision"),
        ("compute.precision=fp16", "; did you mean bfloat16"),
        ("devices=cuda", "devices=cuda: there is no key devices; did you mean compute.devices"),
        ("compute.devices=cuda", "; did you mean gpu"),
        ("model=ViT", "; did you mean vit"),
        ("train.epochs=1.5", "train.epochs=1.5: must be a whole number"),
        (f"seed={'9' * 5000}", "seed="),
    ],
)
def test_else_the_error_says_what_may_have_been_meant(text, hint):
    with pytest.raises(ConfigError) as error:
        load_config([text])
    assert hint in str(error.value)


def test_what_is_no_such_argument_stays_as_it_is():
    for text in ("", "=", "dataset.root", "model.depth=3", "x=it's", "dataset=a b"):
        assert as_grammar(text) == text
