import json

import pytest

from vit_train.runs.cli import run as vit_runs

BESIDE = ["--reference", "keras_io_2021"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cells(output):
    return [[cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] for line in output.splitlines()]


def test_only_what_differs_is_shown(made, tmp_path, capsys):
    made("18-00-00.1-digits-vit", ["dataset=digits", "model.depth=2"], [0.1, 0.3], test_accuracy=0.25)
    made(
        "18-00-01.1-digits-vit",
        ["dataset=digits", "seed=1", "model.head_units=[]", "optimizer.groups=[bias]"],
        [0.5],
    )
    assert vit_runs(["compare", "18-00-00", "latest"]) == 0
    output = capsys.readouterr().out
    rows = cells(output)
    config = rows[rows.index(["config", "A", "B"]) + 2 : rows.index(["result", "A", "B"]) - 2]
    assert config == [
        ["model.depth", "2", "8"],
        ["model.head_units", "[2048,1024]", "[]"],
        ["optimizer.groups", "[]", "[{match:bias,decay:0}]"],
        ["seed", "42", "1"],
    ]
    for expected in (
        ["A  outputs/2026-11-22/18-00-00.1-digits-vit"],
        ["state", "completed", "interrupted"],
        ["epochs", "2", "1"],
        ["best epoch", "2", "1"],
        ["validation loss", "1.0000", "2.0000"],
        ["validation accuracy", "30.00%", "50.00%"],
        ["test accuracy", "25.00%", "-"],
        ["parameters", "12,345", "-"],
        ["time (h:mm:ss)", "0:02:00", "0:01:00"],
    ):
        assert expected in rows
    assert rows[-1] == ["compare.png"]
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_equal_configs_and_runs_without_an_epoch(made, capsys):
    for second in range(2):
        made(f"18-00-0{second}.1-digits-vit", [f"outputs=place{second}"])
    assert vit_runs(["compare", "18-00-00", "18-00-01", "--plot", "here.png"]) == 0
    output = capsys.readouterr()
    assert output.err == "the configs are the same\n"
    assert ["best epoch", "-", "-"] in cells(output.out)
    assert output.out.endswith("\nhere.png\n")


def test_a_plugin_differs_by_what_is_in_it_and_not_by_its_path(made, tmp_path, capsys):
    (tmp_path / "mine.py").touch()
    for second, (path, sha256) in enumerate(
        [("mine.py", "a" * 64), (str(tmp_path / "mine.py"), "a" * 64), ("mine.py", "b" * 64)]
    ):
        run = made(f"18-00-0{second}.1-digits-vit", ["dataset=digits"], [0.5])
        run.config.write_text(run.config.read_text().replace("plugin: null", f"plugin: {path}"))
        run.environment.write_text(json.dumps({"plugins": {path: sha256}}))
    assert vit_runs(["compare", "18-00-00", "18-00-01"]) == 0
    assert capsys.readouterr().err == "the configs are the same\n"
    assert vit_runs(["compare", "18-00-00", "18-00-02"]) == 0
    assert ["plugin", "sha256 aaaaaaaa", "sha256 bbbbbbbb"] in cells(capsys.readouterr().out)


def test_a_run_beside_a_published_one(made, capsys):
    made("18-00-00.1-cifar100-vit", ["model.depth=2"], [0.1, *[0.2] * 10], test_accuracy=0.5)
    assert vit_runs(["compare", "latest", *BESIDE, "--plot", "beside.png"]) == 0
    output = capsys.readouterr()
    assert "note: the run has 11 epochs, the published one 100; so their results cannot" in output.err
    rows = cells(output.out)
    header = rows.index(["epoch", "val loss", "published", "val acc", "published", "val top-5", "published"])
    assert rows[header + 2] == ["1", "2.000", "3.966", "10.0%", "9.9%", "70.0%", "30.6%"]
    assert rows[header + 12] == ["11", "0.182", "-", "20.0%", "-", "70.0%", "-"]  # not on record
    end = rows.index(["test set", "run", "published"]) + 2
    assert rows[end : end + 3] == [
        ["epochs", "11", "100"],
        ["accuracy", "50.00%", "55.14%"],
        ["top-5", "99.00%", "81.86%"],
    ]
    settings = rows.index(["config", "run", "published"]) + 2
    assert rows[settings] == ["model.depth", "2", "8"]
    assert "run less published" not in output.out
    assert rows[-1] == ["beside.png"]


def test_what_a_run_has_more_right_than_a_published_one_has_its_interval(made, capsys):
    made("18-00-00.1-cifar100-vit", val_accuracy=[0.1] * 100, test_accuracy=0.5)
    assert vit_runs(["compare", "latest", *BESIDE, "--plot", "beside.png"]) == 0
    # By hand: 1.96 sqrt((0.5 * 0.5 + 0.5514 * 0.4486) / 10,000)
    assert ["run less published", "-5.14", "-6.52 to -3.76"] in cells(capsys.readouterr().out)


def test_a_run_of_less_data_beside_a_published_one_says_so(made, capsys):
    made(
        "18-00-00.1-cifar100-vit", ["dataset.fraction=0.02", "train.steps_per_epoch=3"], [0.1] * 100, test_accuracy=0.5
    )
    assert vit_runs(["compare", "latest", *BESIDE, "--plot", "beside.png"]) == 0
    assert capsys.readouterr().err == (
        "note: the run has 0.02 of the data (dataset.fraction), the published one all; an epoch of the run is "
        "cut to 3 steps (train.steps_per_epoch); so their results cannot be set beside each other\n"
    )


def test_a_picture_of_no_known_kind_is_a_sentence_before_anything_is_read(made, capsys):
    made("18-00-00.1-cifar100-vit", val_accuracy=[0.1])
    assert vit_runs(["compare", "latest", *BESIDE, "--plot", "beside.docx"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("vit-runs: --plot beside.docx: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latest"], "compare: 1 named; name 2 to 10 runs, or one and --reference NAME"),
        (["latest"] * 11, "compare: 11 named; name 2 to 10 runs, or one and --reference NAME"),
        (["latest", "--reference", "x"], "--reference x: must be one of keras_io_2021"),
        (
            ["latest", "--reference", "keras_io_2021"],
            "--reference keras_io_2021: is on cifar100, and the run is on digits",
        ),
        (
            ["latest"] * 2 + ["--reference", "keras_io_2021"],
            "--reference keras_io_2021: is compared with one run, not with 2; name one",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(made, tmp_path, capsys, arguments, message):
    made("18-00-00.1-digits-vit", ["dataset=digits"], [0.1])
    assert vit_runs(["compare", *arguments]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"vit-runs: {message}\n")
    assert not (tmp_path / "compare.png").exists()
