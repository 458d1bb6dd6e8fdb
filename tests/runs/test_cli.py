"""The command in processes of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vit_train.runs.cli import run as vit_runs

ROOT = Path(__file__).resolve().parents[2]


def start(code, *arguments, cwd):
    """A process that runs `code` after `from vit_train.runs import cli`."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys\nfrom vit_train.runs import cli\n{code}", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_verbs_that_read_files_load_neither_keras_nor_tensorflow(made, tmp_path):
    made("18-00-00.1-cifar100-vit", [], [0.1], test_accuracy=0.1)
    verbs = (
        ["list"],
        ["show", "latest"],
        ["compare", "latest", "latest"],
        ["compare", "latest", "--reference", "keras_io_2021"],
        ["check", "digits"],
    )
    code = "code = [cli.run(verb) for verb in {}]\nloaded = {{'keras', 'tensorflow', 'jax'}} & sys.modules.keys()\n"
    process = start(code.format(verbs) + "sys.exit(str(loaded) if loaded or any(code) else 0)", cwd=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_help_loads_next_to_nothing(tmp_path):
    code = "try: cli.run(sys.argv[1:])\nfinally: print({'numpy', 'yaml', 'rich', 'keras'} & sys.modules.keys())"
    output, _ = start(code, "--help", cwd=tmp_path).communicate(timeout=60)
    assert output.startswith("usage: vit-runs [-h] VERB ...")
    assert output.endswith("\nset()\n")


def test_ctrl_c_ends_it_with_one_line(tmp_path):
    code = "import signal\ncli.run = lambda arguments: signal.raise_signal(signal.SIGINT)\nsys.exit(cli.main())"
    process = start(code, cwd=tmp_path)
    assert process.communicate(timeout=60) == ("", "vit-runs: interrupted\n")
    assert process.returncode == 130


def test_a_reader_that_goes_away_ends_it_without_a_word(tmp_path):
    process = start("input()\ncli.run = lambda arguments: print('x' * 1_000_000)\nsys.exit(cli.main())", cwd=tmp_path)
    with process:
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB; see vit-runs --help"),
        (["lst"], "argument VERB: invalid choice: 'lst' (choose from "),
        (["list", "--jsn"], "unrecognized arguments: --jsn; see vit-runs --help"),
        (["show"], "the following arguments are required: RUN; see vit-runs show --help"),
        (["export", "latest"], "the following arguments are required: --format; see vit-runs export --help"),
        (
            ["predict", "latest", "x.png", "--top", "0"],
            "argument --top: 0 is neither a whole number, 1 or more, nor all",
        ),
        (["predict", "latest", "x.png", "--json", "--csv"], "argument --csv: not allowed with argument --json; see "),
        (
            ["show", "latest", "--outputs", "/absent"],
            "latest: is no run, and none of the 0 in /absent has it in its name",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(capsys, arguments, message):
    assert vit_runs(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"vit-runs: {message}")
    assert output.err.count("\n") == 1
