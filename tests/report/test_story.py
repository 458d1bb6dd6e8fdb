"""A whole tiny run with its figures, drawn again, with faults, and cut short."""

import json
import shutil

import pytest
from made_up import run_of

from vit_train.errors import CheckpointError
from vit_train.report import gallery, inside, story
from vit_train.run import train
from vit_train.rundir.layout import RunDir
from vit_train.runs.redraw import redraw

pytestmark = pytest.mark.usefixtures("eagerly")

FIGURES = {
    "curves.png", "confusion.png", "reliability.png", "right.png", "mistakes.png", "augmentation.png", "patches.png",
    "filters.png", "positions.png", "attention.png", "model.txt", "confusion.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(finished, tmp_path_factory):
    """The directory of a finished run whose figures are drawn."""
    run = RunDir(shutil.copytree(finished.path, tmp_path_factory.mktemp("told") / "run"))
    run.config.write_text(run.config.read_text().replace("figures: false", "figures: true"))
    redraw(run.path)
    return run.path


@pytest.fixture
def run(told, tmp_path):
    """A copy of it."""
    return RunDir(shutil.copytree(told, tmp_path / "run"))


def test_all_figures_are_there_and_on_the_page(told):
    graph = {"model.png"} if shutil.which("dot") else set()
    assert {path.name for path in (told / "figures").iterdir()} == FIGURES | graph
    page = (told / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(FIGURES) - 2
    assert "block_0 (TransformerBlock)" in page
    assert "could not be made" not in (told / "train.log").read_text()


@pytest.mark.slow
def test_drawn_again_a_failing_figure_changes_nothing_else(run, monkeypatch, capsys):
    before = {path.name: path.read_bytes() for path in run.figures.iterdir()}
    report = run.report_json.read_bytes()
    for page in (run.report_html, run.report_md):
        page.unlink()

    def fail(*arguments):
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr(inside, "draw_attention", fail)
    redraw(run.path)
    note = "attention.png could not be made (ZeroDivisionError: no such luck)"
    assert f"note: {note}; the numbers are safe" in capsys.readouterr().err
    log = run.log.read_text()
    assert note in log
    assert "Traceback (most recent call last)" in log
    for page in (run.report_html, run.report_md):
        assert note in page.read_text()
    assert {path.name: path.read_bytes() for path in run.figures.iterdir()} == before
    assert run.report_json.read_bytes() == report


def test_without_its_data_a_run_keeps_the_figures_it_has(run, monkeypatch, capsys):
    config = run.config.read_text().replace("name: digits", "name: cifar10").replace("root: null", "root: /nowhere")
    run.config.write_text(config)
    redraw(run.path)
    assert "figures with images are not made again: dataset=cifar10: its official files are not in /nowhere" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    assert 'src="data:' in run.report_html.read_text()
    assert (run.figures / "mistakes.png").exists()


def test_a_run_without_a_report_is_one_sentence(run):
    run.report_json.unlink()
    with pytest.raises(CheckpointError, match=r"report.json: is not there; finish the run with resume="):
        redraw(run.path)


@pytest.mark.slow
def test_a_stopped_run_says_so_and_how_to_go_on(stopped, tiny):
    """After the first epoch of two; then it continues and says that it is complete."""
    path = stopped(tiny("figures=true")).path
    report = json.loads((path / "report.json").read_text())
    assert (report["status"], report["error"], report["test"]) == ("interrupted", "stopped by SIGTERM", None)
    assert (report["best_epoch"], report["training"]["epochs"]) == (1, 1)
    page = (path / "report.html").read_text()
    assert "This run was interrupted" in page
    assert f"vit-train resume={path}" in page
    assert [figure.name for figure in (path / "figures").iterdir()] == ["curves.png"]
    redraw(path)
    assert train(tiny(f"resume={path}")).status == "completed"
    assert "This run was interrupted" not in (path / "report.html").read_text()


def test_a_full_disk_is_told_as_itself(tmp_path):
    """The report of a failure must not hide it, even where nothing can be written."""
    run, config, report = run_of(tmp_path, ("a", "b"), 3, "dataset=digits")
    shutil.rmtree(run.path)
    with pytest.raises(OSError, match="No space left"), story.told_if_it_ends(config, run, report.split, 1):
        raise OSError(28, "No space left on device")


def test_what_fails_leaves_no_part_of_a_file_and_the_one_before(tmp_path):
    def half(path):
        path.write_text("half")
        raise ValueError("broken")

    assert gallery.attempt(tmp_path / "x.png", half) == "x.png could not be made (ValueError: broken)"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.png").write_text("good")
    assert gallery.attempt(tmp_path / "x.png", half)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["good"]
