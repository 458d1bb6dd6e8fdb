"""The page of `vit-runs demo`: what it answers, and to whom."""

import base64
import io
import json
import threading
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vit_train.runs import demo
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.loading import load
from vit_train.runs.predicted import predict

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def served(trained):
    """The page of a run at a free port, answered by another thread as by the command."""
    with demo.server(0) as server:
        server.viewer = demo.Viewer(trained, *load(trained))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def picture():
    """A turned photograph of 30 x 20 pixels: upright, its left half is red and its right half blue."""
    image = Image.new("RGB", (20, 30), "red")
    image.paste("blue", (0, 0, 20, 15))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def asked(server, method="POST", path="/predict?name=a.png", body=b"", **headers):
    """(status, headers, text) of an answer; `headers` replace those that a browser sends."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    own = f"127.0.0.1:{server.server_port}"
    sent = {"Host": own, "Origin": f"http://{own}", "Content-Length": str(len(body)), **headers}
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return SimpleNamespace(status=answer.status, headers=answer.headers, text=text)


def test_classes_are_those_of_predict_and_the_view_is_upright(served, picture, tmp_path):
    answer = json.loads(asked(served, body=picture).text)
    (tmp_path / "a.png").write_bytes(picture)
    from vit_train.data.image_files import read_image_file

    viewer = served.viewer
    image = read_image_file(tmp_path / "a.png", 8, 8)
    (expected,) = predict(viewer.model, image).top(5)
    assert [(each["name"], each["probability"]) for each in answer["classes"]] == expected
    seen, *maps = answer["views"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(seen["image"].partition(",")[2]))))
    assert pixels.shape == (16, 16, 3)
    assert pixels[8, 2].tolist() == [255, 0, 0]
    assert pixels[8, 13].tolist() == [0, 0, 255]
    assert [each["caption"].rpartition(":")[0] for each in maps] == ["attention, last block", "attention, rollout"]


def test_what_cannot_be_read_is_the_sentence_of_predict(served, trained, tmp_path, capsys):
    contents = {"empty.png": b"", "other.png": b"no picture", "cut.png": b"\xff\xd8\xff\xe0 cut"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert vit_runs(["predict", str(trained.path), *(str(tmp_path / name) for name in contents)]) == 3
    for sentence, (name, content) in zip(capsys.readouterr().err.splitlines(), contents.items(), strict=True):
        answer = asked(served, path=f"/predict?name={tmp_path / name}", body=content)
        assert answer.status == 422
        assert json.loads(answer.text) == {"error": sentence.removeprefix("vit-runs: ")}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:{port}"},  # a name that its owner has lead to 127.0.0.1
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_sites_get_nothing(served, picture, headers, method):
    told = {name: value and value.format(port=served.server_port) for name, value in headers.items()}
    answer = asked(served, method, "/" if method == "GET" else "/predict?name=a.png", picture, **told)
    assert answer.status == 403
    assert json.loads(answer.text) == {
        "error": f"this is only for http://127.0.0.1:{served.server_port}/ on the machine that it runs on"
    }


def test_by_the_name_localhost_and_without_an_origin_it_is_the_same_page(served):
    own = f"localhost:{served.server_port}"
    for headers in ({"Host": own, "Origin": f"http://{own}"}, {"Origin": None}):
        answer = asked(served, "GET", "/", **headers)
        assert answer.status == 200
        assert "Choose pictures" in answer.text
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "length", "status", "reason"),
    [
        ("/predict?name=a.png", str(2**26 + 1), 413, "a.png: has more than 64 MiB; scale it down"),
        ("/predict?name=a.png", "-1", 411, "a.png: its length is not said"),
        ("/predict?name=a%0Ab.png", None, 411, "a\\nb.png: its length is not said"),
        ("/model.keras", "0", 404, "/model.keras: there is no such page"),
    ],
)
def test_what_it_does_not_take(served, path, length, status, reason):
    answer = asked(served, path=path, Content_Length=length, **{"Content-Length": None})
    assert (answer.status, json.loads(answer.text)) == (status, {"error": reason})


def test_nobody_else_can_reach_it_and_a_port_that_is_taken_is_a_sentence(served, trained, capsys):
    assert served.server_address[0] == "127.0.0.1"
    port = str(served.server_port)
    assert vit_runs(["demo", str(trained.path), "--port", port]) == 2
    reason = f"--port {port}: cannot be used (Address already in use); name another, or 0 for any that is free"
    assert capsys.readouterr().err == f"vit-runs: {reason}\n"
    assert vit_runs(["demo", str(trained.path), "--port", "65536"]) == 2
    assert "65536 is no whole number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_in_a_browser(served, browser, picture, width, tmp_path):
    page, faults = browser.new_page(viewport={"width": width, "height": 844}), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"http://127.0.0.1:{served.server_port}/")
    (tmp_path / "half <b>.png").write_bytes(picture)
    (tmp_path / "none.jpg").write_bytes(b"no picture")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files([tmp_path / "none.jpg", tmp_path / "half <b>.png"])
    newest, refused = page.locator("article").first, page.locator("article").nth(1)
    refused.wait_for()
    assert newest.get_by_role("heading").inner_text() == "half <b>.png"
    assert newest.locator("tbody tr").count() == 5
    assert newest.locator("img").count() == 3
    assert "none.jpg: is not a JPEG, PNG" in refused.inner_text()
    # Dropped: as a browser tells of files that come from elsewhere.
    page.evaluate(
        """() => {
          const moved = new DataTransfer();
          moved.items.add(new File(["x"], "dropped.png"));
          document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", {dataTransfer: moved, bubbles: true, cancelable: true}));
        }"""
    )
    page.get_by_role("heading", name="dropped.png").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
    assert not faults
