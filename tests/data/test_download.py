import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vit_train.data import download as module
from vit_train.data.download import download
from vit_train.errors import DataError

BODY = os.urandom(1 << 20)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its own way, good or bad."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        answer = {"/chunked": self.send_chunked, "/unsized": self.send_unsized}.get(self.path, self.send_sized)
        answer()

    def send_sized(self) -> None:
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000])
        if self.path == "/cut":
            return
        if self.path == "/stalled":
            self.server.released.wait(10)
            return
        if self.path == "/together":
            self.server.together.wait(60)
        self.wfile.write(BODY[1000:])

    def send_chunked(self) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % len(BODY) + BODY[:1000])

    def send_unsized(self) -> None:
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.together = threading.Barrier(2)
        self.released = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up early are part of the tests, and no news."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def download_error(url: str, path: Path, sha256: str = SHA256) -> str:
    with pytest.raises(DataError) as caught:
        download(url, path, sha256)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(f"{url}: ")
    return str(caught.value)


@pytest.mark.parametrize("path", ["good", "unsized"])
def test_a_good_file(server: Server, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(f"{server.url}/{path}", tmp_path / "new" / "folder" / "file", SHA256)
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == BODY
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["file"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "file" in err
    assert "1.0" in err  # megabytes


def test_others_may_read_it_as_any_new_file(server: Server, tmp_path: Path) -> None:
    download(f"{server.url}/good", tmp_path / "file", SHA256)
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent", "(HTTP Error 404: Not Found)"),
        ("cut", "(the connection ended after 1,000 of 1,048,576 bytes)"),
        ("chunked", "(IncompleteRead("),
        ("stalled", "(timed out)"),
    ],
)
def test_a_failure_leaves_nothing(
    server: Server, path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2 if path == "stalled" else 10)
    message = download_error(f"{server.url}/{path}", tmp_path / "file")
    assert f"could not be downloaded to {tmp_path / 'file'}" in message
    assert reason in message
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_expected(server: Server, tmp_path: Path) -> None:
    message = download_error(f"{server.url}/good", tmp_path / "file", sha256="0" * 64)
    assert f"sent another file than expected (sha256 {SHA256}, expected {'0' * 64})" in message
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    download_error(f"{server.url}/cut", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    download(f"{server.url}/good", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(list(tmp_path.iterdir())) == 1


def test_ctrl_c_leaves_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> str:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/good", tmp_path / "file", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_no_server(server: Server, tmp_path: Path) -> None:
    with Server() as gone:
        url = gone.url
    assert "Connection refused" in download_error(f"{url}/good", tmp_path / "file")


def test_nowhere_to_write(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "File exists" in download_error(f"{server.url}/good", tmp_path / "file" / "below")


def test_two_processes_at_once(server: Server, tmp_path: Path) -> None:
    """The server holds both answers back until both are under way."""
    call = f"download({server.url + '/together'!r}, Path({str(tmp_path / 'file')!r}), {SHA256!r})"
    code = f"from pathlib import Path; from vit_train.data.download import download; {call}"
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(list(tmp_path.iterdir())) == 1
