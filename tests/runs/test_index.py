"""What `vit-runs list` knows from last time."""

import hashlib
import io
import json
import os
import shutil

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from vit_train import console
from vit_train.rundir import records
from vit_train.rundir.layout import RunDir
from vit_train.runs import index
from vit_train.runs.cli import run as vit_runs


@pytest.fixture
def listed(made, tmp_path, monkeypatch, capsys):
    """(runs, what `list` says now and how many of them it read) of three completed runs and one that is not."""
    runs = [made(f"18-00-0{i}-digits-vit", ["dataset=digits"], [0.1, 0.2], test_accuracy=0.25) for i in range(3)]
    made("19-00-00-digits-vit", ["dataset=digits"], [0.5])
    monkeypatch.setattr(index, "_SETTLED", -10)
    read, seen = records.read_config, []

    def counted(run):
        seen.append(run)
        return read(run)

    monkeypatch.setattr(records, "read_config", counted)

    def ask():
        seen.clear()
        assert vit_runs(["list", "--json", "--outputs", str(tmp_path / "outputs")]) == 0
        return json.loads(capsys.readouterr().out), len(seen)

    return runs, ask


def test_only_what_has_changed_is_read_again(listed, tmp_path):
    runs, ask = listed
    first, read = ask()
    assert read == 4
    assert ask() == (first, 1)
    report = json.loads(runs[0].report_json.read_text())
    before = runs[0].report_json.stat()
    report["test"]["accuracy"] = 0.75  # as many bytes, in the same file, with the same time of writing
    runs[0].report_json.write_text(json.dumps(report))
    os.utime(runs[0].report_json, ns=(before.st_atime_ns, before.st_mtime_ns))
    runs[1].config.write_text(runs[1].config.read_text().replace("name: digits", "name: cifar10"))
    found, read = ask()
    assert read == 3
    assert [run["test_accuracy"] for run in found] == [0.75, 0.25, 0.25, None]
    assert [run["dataset"] for run in found] == ["digits", "cifar10", "digits", "digits"]
    shutil.rmtree(runs[1].path)
    runs[2].path.rename(runs[1].path)  # another run in its place
    found, _ = ask()
    assert [(run["dataset"], run["path"]) for run in found[:2]] == [("digits", str(run.path)) for run in runs[:2]]
    assert ask() == (found, 1)


def test_a_damaged_index_or_one_of_another_version_is_made_anew(listed, tmp_path):
    _, ask = listed
    first, _ = ask()
    path = tmp_path / "outputs" / ".list.json"
    good = path.read_text()
    other = good.split("\n", 1)[1].replace('"version":1,', '"version":0,')
    signed = f"{hashlib.sha256(other.encode()).hexdigest()}\n{other}"
    for text in ("", good[:-9], good.replace("0.25", "0.95"), signed, "[]", "\0"):
        path.write_text(text)
        assert ask() == (first, 4)
        assert path.read_text() == good


def test_what_changed_a_moment_ago_is_not_kept(listed, tmp_path, monkeypatch):
    _, ask = listed
    monkeypatch.setattr(index, "_SETTLED", 60)
    assert [ask()[1] for _ in range(2)] == [4, 4]
    assert not (tmp_path / "outputs" / ".list.json").exists()


def test_a_damaged_run_is_read_and_told_each_time(listed, capsys):
    runs, _ = listed
    runs[0].history.write_text("epoch,step\n1,x\n")
    for _ in range(2):
        assert vit_runs(["list", "--outputs", str(runs[0].path.parents[1])]) == 0
        assert f"note: {RunDir(runs[0].path).history}: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [[["a", "猫", "1"], ["long name", "b", "22.5%"]], [["", "", ""]]])
def test_a_table_without_rules_is_as_rich_prints_it(rows, capsys):
    header = ["one", "two", "three"]
    console.print_table(header, rows, text_columns=2, ruled=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index_, name in enumerate(header):
        table.add_column(name, justify="left" if index_ < 2 else "right", no_wrap=index_ >= 2)
    for row in rows:
        table.add_row(*row)
    wanted = io.StringIO()
    Console(file=wanted, width=200).print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        line.rstrip() for line in wanted.getvalue().splitlines()
    ]
