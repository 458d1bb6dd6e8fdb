"""report.html and report.md, from made-up numbers."""

import dataclasses
import html.parser
import re

import pytest
from made_up import run_of

from vit_train.report.pages import write

NAMES = ("cat", "dog|wolf", "<script>alert(1)</script>", "été")


class Page(html.parser.HTMLParser):
    """Collects tags, checks that they are closed in order, and keeps the rows of tables."""

    VOID = ("meta", "img", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.rows = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = (self.rows[-1][-1] + " " + data.strip()).strip()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Writes both pages of a run: `pages(report changes)` -> (HTML, Markdown, report)."""
    run, config, report = run_of(tmp_path_factory.mktemp("run"), NAMES, 3, "dataset=digits", "model.depth=3")

    def render(notes=(), **changes):
        changed = dataclasses.replace(report, **{"status": "completed", **changes})
        write("report.html.j2", changed, run, config, list(notes), run.report_html)
        write("report.md.j2", changed, run, config, list(notes), run.report_md)
        return run.report_html.read_text(), run.report_md.read_text(), changed

    return render


def test_the_page_has_the_numbers(pages):
    text, _, report = pages()
    page = Page(text)
    assert f'<dd class="value">{report.test.accuracy:.2%}</dd>' in text
    low, high = report.test.accuracy_interval
    assert f"95 % interval {low:.1%} to {high:.1%}" in text
    found = {row[0]: row for row in page.rows if len(row) == 7}
    for row in report.per_class:
        assert found[row.name][1:6] == [
            *(f"{share:.1%}" for share in (row.accuracy, row.top5_accuracy, row.precision, row.f1)),
            str(row.support),
        ]
    assert ["model.depth", "3", "8"] in page.rows
    assert "<strong>This run" not in text


def test_the_page_needs_nothing_else(pages):
    text = pages()[0]
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object")]
    assert all(values["src"].startswith("data:") for _, values in page.tags if "src" in values)
    links = [values["href"] for _, values in page.tags if "href" in values]
    assert all(re.fullmatch(r"#\w+|[\w/]+\.(png|csv)", link) for link in links)  # a section, or a file of the run
    assert "url(" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_every_image_has_a_text_and_every_section_a_heading(pages):
    page = Page(pages()[0])
    assert all(values["alt"] for tag, values in page.tags if tag == "img")
    links = {values["href"][1:] for tag, values in page.tags if tag == "a" and values["href"].startswith("#")}
    assert links == {values["id"] for tag, values in page.tags if tag == "section"}


def test_names_are_only_names(pages):
    text, markdown, _ = pages()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "| dog\\|wolf |" in markdown
    assert "| \\<script>alert(1)\\</script> |" in markdown


def test_top_five_of_five_classes_or_fewer_is_no_headline(pages, tmp_path):
    assert "top-5 test accuracy" not in pages()[0]
    assert "), top-5" not in pages()[1]
    run, config, report = run_of(tmp_path, "abcdef", 3, "dataset=digits")
    for template, path in (("report.html.j2", run.report_html), ("report.md.j2", run.report_md)):
        write(template, dataclasses.replace(report, status="completed"), run, config, [], path)
    assert "top-5 test accuracy" in run.report_html.read_text()
    assert "), top-5" in run.report_md.read_text()


def test_markdown_says_the_same(pages):
    _, markdown, report = pages()
    lines = markdown.splitlines()
    assert lines[0] == f"# vit on digits: {report.test.accuracy:.2%} test accuracy"
    assert (
        f"| test | 300 | {report.test.loss:.4f} | {report.test.accuracy:.2%} | {report.test.top5_accuracy:.2%} |"
        in lines
    )
    assert "The weights are those of epoch 2 of 3, the best by val_accuracy." in lines
    assert "- Status: completed" in lines
    cat = report.per_class[0]
    assert f"| cat | {cat.accuracy:.1%} | 100.0% | {cat.precision:.1%} | {cat.f1:.1%} | {cat.support} |" in lines
    assert "\n\n\n" not in markdown


@pytest.mark.parametrize(
    ("status", "said"), [("interrupted", "This run was interrupted"), ("failed", "This run failed")]
)
def test_a_run_that_did_not_end_well_says_so(pages, status, said):
    text, markdown, report = pages(status=status, error="the disk is full", test=None, per_class=[])
    Page(text)
    for page in (text, markdown):
        assert said in page
        assert "the disk is full" in page
        assert f"vit-train resume={report.run_dir}" in page
    assert "3 of 100 epochs" in re.sub(r"\s+", " ", text)
    assert "best so far is epoch 2 of 3" in markdown
    assert 'id="classes"' not in text


def test_before_the_first_epoch_there_is_a_page_too(pages):
    training = {
        "epochs": 0,
        "planned_epochs": 9,
        "steps": 0,
        "skipped_steps": None,
        "seconds": 0,
        "images_per_second": None,
        "monitor": "x",
    }
    text, markdown, _ = pages(
        status="failed", error="x", test=None, per_class=[], validation=None, best_epoch=None, training=training
    )
    Page(text)
    assert "0 of 9 epochs" in markdown
    assert "\n\n\n" not in markdown


def test_notes_are_told(pages):
    for page in pages(notes=["attention.png could not be made (ValueError: no)"])[:2]:
        assert "attention.png could not be made (ValueError: no)" in page


def test_each_figure_leads_to_its_picture_and_its_numbers(tmp_path, tensorflow):
    from vit_train.report import story

    run, config, report = run_of(tmp_path, [f"class {index}" for index in range(30)], 3, "dataset=digits")
    assert not story.tell(dataclasses.replace(report, status="completed"), run, config)
    page = Page(run.report_html.read_text())
    links = [values["href"] for tag, values in page.tags if tag == "a" and not values["href"].startswith("#")]
    assert links == [
        *("figures/curves.png", "history.csv"),
        *("figures/confusion.png", "figures/confusion.csv"),
        *("figures/reliability.png", "predictions.csv"),
    ]
    assert all((run.path / link).is_file() for link in links)
    assert len([tag for tag, values in page.tags if tag == "input"]) == 1  # to see the matrix in its own size
