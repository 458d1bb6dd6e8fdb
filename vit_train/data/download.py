"""A file from the network: whole and verified, or not there at all."""

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from vit_train.errors import DataError

TIMEOUT_SECONDS = 30.0  # without a single byte
CHUNK_BYTES = 1 << 18


def download(url: str, path: Path, sha256: str) -> None:
    """Fetches `url` to `path`, replacing a file that is there; folders are made as needed.

    `path` changes only at the very end and at once, to a file whose checksum is `sha256`. Processes that fetch the same
    file at the same time each write under a name of their own, so neither can spoil the other's.

    Raises DataError, naming URL and reason, if the network or the disk fails or the checksum is another.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, part.open("xb") as file:
            found = _copy(response, file, path.name)
            file.flush()
            os.fsync(file.fileno())
        if found != sha256:
            raise DataError(
                f"{url}: sent another file than expected (sha256 {found}, expected {sha256}); try again later"
            )
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url}: could not be downloaded to {path} ({_reason(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _copy(response: Any, file: IO[bytes], name: str) -> str:
    """Copies a response's body to `file` under a progress bar on stderr and returns its sha256."""
    length = response.headers["Content-Length"]
    total = int(length) if length else None
    digest = hashlib.sha256()
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            progress.advance(task, len(chunk))
    # http.client reports a connection that was cut as an ordinary end.
    if total is not None and file.tell() < total:
        raise ConnectionError(f"the connection ended after {file.tell():,} of {total:,} bytes")
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """What went wrong, without Python's wrapping; closes the answer that an HTTP error still holds open."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    elif isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error)
