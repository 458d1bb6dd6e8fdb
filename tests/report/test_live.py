"""report.html while a run goes on."""

import pytest
from made_up import SPLIT, run_of
from report.test_pages import Page

from vit_train.metrics import TRAINING
from vit_train.report import live
from vit_train.rundir import history


@pytest.fixture
def started(tmp_path, monkeypatch):
    """(run, its rows so far, its page, a function that lets seconds pass)"""
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    run, config, _ = run_of(tmp_path, ("a", "b"), 3, "dataset=digits", "train.epochs=9")

    def wait(seconds):
        now[0] += seconds

    return run, history.read(run.history), live.LivePage(config, run, SPLIT, 1234), wait


def test_there_is_a_page_from_the_first_epoch_on_that_says_it_goes_on(started):
    run, rows, page, wait = started
    page.epochs(rows[:1])
    text = run.report_html.read_text()
    Page(text)
    assert "Still training" in text
    assert "1 of\n    9 epochs" in text
    wait(5)
    page.epochs(rows[:2])
    assert run.report_html.read_text() == text
    wait(30)
    page.epochs(rows)
    found = Page(run.report_html.read_text())
    assert [row[:3] for row in found.rows[1:]] == [
        [f"{row['epoch']:.0f}", f"{row['loss']:.4f}", f"{row['accuracy']:.2%}"] for row in rows[::-1]
    ]
    assert [tag for tag, _ in found.tags].count("polyline") == 4


def test_the_page_of_a_finished_run_stays_until_it_is_finished_again(tmp_path):
    run, config, _ = run_of(tmp_path, ("a", "b"), 3, "dataset=digits")
    run.report_html.write_text("finished")
    live.LivePage(config, run, SPLIT, 1234).epochs(history.read(run.history))
    assert run.report_html.read_text() == "finished"


def test_a_full_disk_is_not_the_pages_business(started, monkeypatch):
    _, rows, page, _ = started
    monkeypatch.setattr(live.pages, "replace_file", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    page.epochs(rows)


def test_a_chart_has_both_lines_from_the_lowest_to_the_highest_value():
    rows = [{"loss": 3.0, "val_loss": 2.0}, {"loss": 1.0, "val_loss": 2.0}]
    found = live.chart(rows, TRAINING["loss"])
    assert (found.lowest, found.highest) == ("1.0000", "3.0000")
    assert found.training == "8.0,8.0 632.0,212.0"
    assert found.validation == "8.0,110.0 632.0,110.0"
