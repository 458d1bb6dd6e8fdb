"""The command as a user types it, in processes of its own where those add something."""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_train import cli
from vit_train.config.compose import load_config, to_yaml
from vit_train.config.convert import keys_of
from vit_train.config.groups import groups
from vit_train.config.schema import Config
from vit_train.text import one_line

TINY = ("experiment=quickstart", "debug=fast", "model.depth=1", "model.image_size=8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.depht=3"], "model.depht=3: there is no key model.depht; did you mean model.depth"),
        (["+model.depht=3"], "+model.depht=3: there is no key model.depht; did you mean model.depth"),
        (["model.patch_size=7"], "model.patch_size=7: does not divide model.image_size=72"),
        (["cifar100"], "'cifar100': is not KEY=VALUE"),
        (["--cfgg", "job"], "unrecognized arguments: --cfgg; see vit-train --help"),
        (["--cfg"], "argument -c/--cfg: expected one argument; see vit-train --help"),
        (["--config="], "argument --config: is empty; give the name of a file; see vit-train --help"),
        (["--config", "absent.yaml"], "absent.yaml: cannot be read (No such file or directory)"),
        (["-m", "cifar100"], "'cifar100': is not KEY=VALUE"),
        (["-m", "model.depht=1,2"], "model.depht=1: there is no key model.depht; did you mean model.depth"),
        (["-m", "--cfg", "job"], "--cfg job: shows the config of one run; leave out -m"),
        (["-m", "sweep.resume=nowhere"], "sweep.resume=nowhere: is not a sweep, it has no sweep.json"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.startswith(f"vit-train: {message}")
    assert stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_mistake_ends_the_process_with_its_exit_code(vit_train, tmp_path):
    result = vit_train("-m", "model.depht=1,2")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_absent_data_is_exit_code_3(tensorflow, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run([f"dataset.root={tmp_path}"]) == 3
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "dataset=digits" in stderr
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_is_one_line_and_its_traceback_a_file(capsys, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_run", broken)
    assert cli.run([]) == 1
    line = capsys.readouterr().err
    log = Path(re.fullmatch(r"vit-train: unexpected ZeroDivisionError; the traceback is in (.*)\n", line)[1])
    assert "in broken" in log.read_text()
    log.unlink()


def test_help_and_version(vit_train):
    assert vit_train("--help").stdout.startswith("vit-train trains Vision Transformers")
    assert re.fullmatch(r"vit-train \d+\.\d+\.\d+\n", vit_train("--version").stdout)


def test_quick_answers_load_neither_keras_nor_tensorflow(vit_train):
    for arguments in (["--help"], ["--cfg", "job"], ["model.depht=3"]):
        result = vit_train(*arguments, PYTHONPROFILEIMPORTTIME="1")
        assert "vit_train.cli" in result.stderr
        assert not re.search(r"\| +(keras|tensorflow|jax|sklearn|numpy)$", result.stderr, re.MULTILINE), arguments


def test_the_resolved_config_is_printed(vit_train):
    result = vit_train("--cfg", "job", "dataset=digits", "model.depth=2")
    assert result.returncode == 0
    assert "  depth: 2\n" in result.stdout
    assert vit_train("dataset=digits", "model.depth=2", "--cfg", "job").stdout == result.stdout


def test_a_run_ends_with_table_and_run_directory(eagerly, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run([*TINY, "figures=false"]) == 0
    printed = capsys.readouterr()
    *table, run = printed.out.splitlines()
    assert (tmp_path / run / "report.json").is_file()
    assert [line.split()[1] for line in table if "%" in line] == ["validation", "test"]
    first_words = [line.split()[0] for line in printed.err.splitlines()]
    assert first_words == ["loading", "reading", "run", "vit,", "epoch", "epoch", "1/1", "testing", "writing"]


def test_a_run_can_be_repeated_from_its_own_config(tmp_path, monkeypatch, capsys):
    def shown(*arguments):
        assert cli.run(["--cfg", "job", *arguments]) == 0
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    printed = shown(*TINY)
    (tmp_path / "config.yaml").write_text(printed)
    assert shown("--config", "config.yaml") == printed
    changed = shown("--config", "config.yaml", "train.epochs=9")
    assert changed == printed.replace("  epochs: 1\n", "  epochs: 9\n")


@pytest.mark.slow
def test_what_else_is_set_changes_no_number(vit_train, tmp_path):
    """The order of sets, and how many threads compute."""
    found = []
    for environment in ({}, {"PYTHONHASHSEED": "7", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}):
        run = tmp_path / vit_train(*TINY, "figures=false", **environment).stdout.splitlines()[-1]
        found.append((run / "predictions.csv").read_text())
    assert found[0] == found[1]


names = st.sampled_from([*groups(), *(name for name, _, _ in keys_of(Config)), "model", "model.depht", ""])
values = st.one_of(
    st.integers(-3, 300).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["null", "true", "last", "digits", "quickstart", "[1,2]", "{a: 1}", "${seed}", "'2 epochs'", "a,b"]
    ),
    st.text(max_size=6),
)
overrides = st.builds("{}{}={}".format, st.sampled_from(["", "+", "++", "~"]), names, values)
flags = st.sampled_from("--config --config= --help -h --version -- - --no -x=1 resume=/ experiment=quickstart".split())
# But for -m, which would train.
words = st.text(max_size=8).filter(lambda text: not re.match("-+m|-s|--shell", text))
arguments = st.lists(st.one_of(overrides, flags, words, names, values), max_size=4)


CASES = int(os.environ.get("CASES", "150"))
KEYS = [name for name, _, _ in keys_of(Config)]
FILE = to_yaml(load_config()).splitlines()
lines = st.one_of(
    st.builds("{}{}: {}".format, st.sampled_from(["", "  ", "    "]), st.sampled_from(["depth", "seed", "x"]), values),
    st.sampled_from(
        ["- 1", "? [1]", "a: &a [1]", "b: *a", "\t", "---", "!!python/name:os.system", "seed: " + "9" * 5000]
    ),
    st.text(max_size=12),
)
edits = st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 2), lines), min_size=1, max_size=3)


@settings(max_examples=CASES, deadline=None)
@given(edits)
def test_any_file_is_a_config_or_one_sentence_with_its_name_and_exit_code_2(tmp_path_factory, edits):
    text, path = list(FILE), tmp_path_factory.mktemp("file") / "config.yaml"
    for place, replaced, line in edits:
        text[place : place + replaced] = [line]
    path.write_text("\n".join(text), encoding="utf-8", errors="surrogatepass")
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = cli.run(["--cfg", "job", "--config", str(path)])
    assert code in (0, 2)
    if code == 2:
        assert stdout.getvalue() == ""
        said = stderr.getvalue().splitlines()[-1]
        assert said.startswith(f"vit-train: {path}: "), said
        assert said.isprintable()


@settings(max_examples=CASES, deadline=None)
@given(arguments)
def test_any_arguments_are_a_config_or_one_sentence_and_exit_code_2(tmp_path_factory, arguments):
    """Nothing is trained, and nothing may be created either way."""
    folder = tmp_path_factory.mktemp("empty")
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = cli.run(["--cfg", "job", *arguments])
    assert code in (0, 2)
    assert (stderr.getvalue() == "") == (code == 0)
    if code == 2:
        assert stdout.getvalue() == ""
        said = stderr.getvalue()
        assert re.fullmatch(r"vit-train: [^\n]+\n", said), said
        named = [one_line(word) for each in arguments for word in (each, each.partition("=")[0].lstrip("+~-")) if word]
        assert any(name in said for name in ("'': ", *named, *KEYS)), said
    assert not list(folder.iterdir())
