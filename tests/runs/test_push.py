"""`vit-runs push` against a small stand-in of the Hub's HTTP interface, as huggingface_hub calls it."""

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vit_train.runs.cli import run as vit_runs

pytest.importorskip("huggingface_hub")
GOLDEN = Path(__file__).resolve().parents[1] / "golden/runs/v1/finished"


class Hub(BaseHTTPRequestHandler):
    """Takes a new repository and one commit: small files in the commit itself, .keras by LFS as the real one does."""

    def reply(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self):
        self.server.stored["model.keras"] = self.body()
        self.reply({})

    def do_POST(self):
        server, body, place = self.server, self.body(), self.path.split("?")[0]
        if self.headers["Authorization"] != "Bearer secret":
            self.reply({"error": "Invalid username or password."}, 401)
        elif place == "/api/repos/create":
            server.made.append(json.loads(body))
            self.reply({"url": f"{server.url}/me/vit", "name": "me/vit", "id": "me/vit"})
        elif place == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif place == "/api/models/me/vit/preupload/main":
            names = [each["path"] for each in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "lfs" if name.endswith(".keras") else "regular"} for name in names]
            self.reply({"files": [mode | {"shouldIgnore": False} for mode in modes]})
        elif place == "/me/vit.git/info/lfs/objects/batch":
            (wanted,) = json.loads(body)["objects"]
            action = {"upload": {"href": f"{server.url}/upload"}}
            self.reply({"transfer": "basic", "objects": [wanted | {"actions": action}]})
        elif place == "/api/models/me/vit/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    server.stored[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                server.lines.append((line["key"], line["value"].get("path")))
            self.reply({"commitUrl": f"{server.url}/me/vit/commit/1", "commitOid": "1", "success": True})
        else:
            self.reply({"error": f"no such place: {place}"}, 404)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.made, server.stored, server.lines = [], {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    # Xet is a protocol of its own, with a server of its own; without it large files go by LFS.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_says_what_it_would_upload_and_does_so_only_when_told(hub, capsys):
    assert vit_runs(["push", str(GOLDEN), "me/vit"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("to me/vit, private if it is new:")
    assert all(name in out for name in ("README.md", "model.keras", "config.yaml", "report.json"))
    assert "nothing is uploaded; --yes does it" in err
    assert hub.made == []


@pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # huggingface_hub's own way to upload
@pytest.mark.parametrize("public", [False, True])
def test_what_is_there_then_is_what_the_run_has(public, hub, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(GOLDEN, run)
    (run / "exports").mkdir(exist_ok=True)
    (run / "exports" / "model.onnx").write_bytes(b"onnx")
    more = ["--public"] if public else []
    assert vit_runs(["push", str(run), "me/vit", "--license", "mit", "--yes", *more]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.url}/me/vit/commit/1"
    (made,) = hub.made
    assert (made["organization"], made["name"]) == ("me", "vit")
    assert (made.get("visibility") == "private" or made.get("private", False)) is not public
    assert hub.stored.keys() == {"README.md", "model.keras", "config.yaml", "report.json", "model.onnx"}
    for name in ("model.keras", "config.yaml"):
        assert hub.stored[name] == (run / name).read_bytes()
    assert ("lfsFile", "model.keras") in hub.lines
    assert b"license: mit" in hub.stored["README.md"]
    assert str(tmp_path).encode() not in hub.stored["report.json"]


def refused(capsys, *arguments):
    code = vit_runs(["push", *map(str, arguments)])
    return code, capsys.readouterr().err.strip()


def test_each_mistake_is_one_sentence(hub, tmp_path, capsys, monkeypatch):
    assert refused(capsys, GOLDEN, "vit") == (2, "vit-runs: vit: must be ORG/NAME, such as me/vit-digits")
    (tmp_path / "checkpoints").mkdir()
    code, said = refused(capsys, tmp_path, "me/vit")
    assert code == 2
    assert said.endswith("is not finished, so there is no model to upload; finish the run first")
    code, said = refused(capsys, GOLDEN, "me/none", "--yes")
    assert code == 4
    assert said.startswith("vit-runs: me/none: cannot be uploaded to the Hub (")
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert refused(capsys, GOLDEN, "me/vit", "--yes") == (
        2, "vit-runs: push: there is no token of the Hub; set HF_TOKEN, or log in with `hf auth login`"
    )  # fmt: skip
    assert len(hub.made) == 1  # me/none, whose commit was refused
