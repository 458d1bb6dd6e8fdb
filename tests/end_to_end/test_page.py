"""report.html in a real browser: Debian's chromium, where it is installed."""

import dataclasses
from pathlib import Path

import pytest
from made_up import run_of

from vit_train.data.superclasses import CIFAR100
from vit_train.report import story

NAMES = tuple(sorted(" ".join(CIFAR100.values()).split()))

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    # Closing the browser leaves the sockets of playwright's event loop to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    run, config, report = run_of(tmp_path_factory.mktemp("run"), NAMES)
    story.tell(dataclasses.replace(report, status="completed"), run, config)
    return run.report_html.as_uri()


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def page(browser, address, request):
    """The page in a window of that many pixels; fails if it complained."""
    page, complaints = browser.new_page(viewport={"width": request.param, "height": 844}), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(address)
    yield page
    page.close()
    assert not complaints


def test_images_load_and_nothing_is_wider_than_the_window(page):
    sizes = page.evaluate("[...document.images].map((image) => [image.complete, image.naturalWidth])")
    assert len(sizes) == 3
    assert all(complete and width > 600 for complete, width in sizes)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_table_sorts_by_click_and_by_key(page):
    def column(number):
        return page.eval_on_selector_all(
            "table.sortable tbody tr", f"rows => rows.map(row => row.cells[{number}].innerText)"
        )

    def shares():
        """Without the one class that has no test images, which is always the last."""
        *values, last = column(1)
        assert last == "-"
        return [float(text.rstrip("%")) for text in values]

    assert column(0) == list(NAMES)
    header = page.locator(".sortable").get_by_role("columnheader", name="accuracy", exact=True)
    header.get_by_role("button").click()
    assert shares() == sorted(shares(), reverse=True)
    assert header.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert shares() == sorted(shares())
    assert header.get_attribute("aria-sort") == "ascending"
    page.locator(".sortable").get_by_role("columnheader", name="class", exact=True).get_by_role("button").click()
    assert column(0) == list(NAMES)
    assert header.get_attribute("aria-sort") is None


@pytest.mark.parametrize("page", [1280], indirect=True)
def test_it_follows_the_colour_scheme_and_prints(page, tmp_path):
    def background():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background() == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert background() == "rgb(23, 24, 26)"
    page.emulate_media(media="print")
    assert background() == "rgb(255, 255, 255)"
    assert not page.get_by_role("navigation").is_visible()
    page.pdf(path=Path(tmp_path / "report.pdf"))
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
