"""`vit-runs demo`: a page on this machine that says what the model takes a picture for, and where it looks."""

import argparse
import io
import json
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from vit_train.console import put, stderr
from vit_train.data.image_files import KINDS, MAX_PIXELS, decoded
from vit_train.errors import ConfigError, DataError
from vit_train.report.pages import png_address, template
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.rundir.unknown import rule_of
from vit_train.runs.loading import load
from vit_train.runs.predicted import predict
from vit_train.text import one_line

_HOST = "127.0.0.1"  # nobody else can reach it
LIMIT = 64 * 2**20  # bytes of a picture's file
_TOP = 5  # classes shown
# A page of another site is not ours to answer: nothing is loaded from elsewhere, and nothing may show or load this one.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def run(options: argparse.Namespace) -> int:
    """Serves the page until the process is stopped."""
    found = find_run(options.run, options.outputs)
    with server(options.port) as demo:
        demo.viewer = Viewer(found, *load(found))
        put(f"http://{_HOST}:{demo.server_port}/")
        stderr.print("Ctrl-C ends it")
        demo.serve_forever()
    return 0


class Viewer:
    """A model, and what it says of pictures, one at a time."""

    def __init__(self, run: RunDir, model: Any, names: tuple[str, ...]) -> None:
        self.model, self.lock = model, threading.Lock()
        self.page = template("demo.html.j2").render(
            name=f"{model.name}: what is in the picture?",
            run=run,
            names=names,
            kinds=KINDS,
            limit=LIMIT,
            rule=rule_of(model),
        )
        self.look(np.zeros(model.input_shape[1:], "uint8"))  # the first one takes seconds

    def answer(self, name: str, content: bytes) -> dict[str, Any]:
        """What the page shows of a picture's file: its likeliest classes and views; DataError if it cannot be read."""
        from vit_train.models.preprocessing import fitting_of

        _, height, width, _ = self.model.input_shape
        return self.look(decoded(name, io.BytesIO(content), height, width, MAX_PIXELS, fitting_of(self.model)))

    def look(self, image: np.ndarray) -> dict[str, Any]:
        """The same of pixels, uint8 [H, W, C]."""
        with self.lock:
            answer = predict(self.model, image)
            views = [{"image": png_address(pixels), "caption": caption} for pixels, caption in self._views(image)]
        classes = [{"name": one_line(name), "probability": share} for name, share in answer.top(_TOP)[0]]
        return {"classes": classes, "views": views, "unknown": answer.unknown is not None and bool(answer.unknown[0])}

    def _views(self, image: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
        from vit_train.models.preprocessing import network_of, prepared
        from vit_train.report import inside

        seen = prepared(self.model, image[None])
        yield seen[0].round().astype("uint8"), "as the model sees it"
        for maps, title in zip(inside.attention_maps(network_of(self.model), seen) or (), inside.MAPS, strict=False):
            (share,) = maps
            yield inside.overlay(seen[0], share), f"attention, {title}: {share.min():.2g} to {share.max():.2g}"


class Server(ThreadingHTTPServer):
    """Answers one browser on this machine."""

    daemon_threads = True
    viewer: Viewer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leaves a traceback on stderr, but not of a browser that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def server(port: int) -> Server:
    """Takes the port, 0 for any that is free; raises ConfigError if another program has it."""
    try:
        return Server((_HOST, port), _Handler)
    except OSError as error:
        raise ConfigError(
            f"--port {port}: cannot be used ({error.strerror}); name another, or 0 for any that is free"
        ) from error


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "vit-runs", ""
    timeout = 60  # seconds that a sender may be silent

    def do_GET(self) -> None:
        """The page."""
        if self._from_here():
            if self.path == "/":
                self._send(HTTPStatus.OK, self.server.viewer.page, "text/html")
            else:
                self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: there is no such page")

    def do_POST(self) -> None:
        """What the model says of the picture that is sent, as JSON."""
        if not self._from_here():
            return
        asked = urlsplit(self.path)
        name = one_line(parse_qs(asked.query).get("name", ["picture"])[0])
        length = self.headers.get("Content-Length", "")
        if asked.path != "/predict":
            self._refuse(HTTPStatus.NOT_FOUND, f"{asked.path}: there is no such page")
        elif not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, f"{name}: its length is not said")
        elif int(length) > LIMIT:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name}: has more than {LIMIT >> 20} MiB; scale it down")
        else:
            try:
                self._send(HTTPStatus.OK, json.dumps(self.server.viewer.answer(name, self.rfile.read(int(length)))))
            except DataError as error:
                self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, one_line(str(error)))

    def _from_here(self) -> bool:
        """Whether a page of ours asks, and none of another site: not by a name that leads to this machine, either."""
        own = [f"{name}:{self.server.server_port}".removesuffix(":80") for name in (_HOST, "localhost")]
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if host in own and origin in (None, *(f"http://{name}" for name in own)):
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"this is only for http://{own[0]}/ on the machine that it runs on")
        return False

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, json.dumps({"error": reason}))

    def _send(self, status: HTTPStatus, text: str, kind: str = "application/json") -> None:
        content = text.encode(errors="replace")
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing: the page shows what there is to say."""
