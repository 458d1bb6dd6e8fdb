"""`vit-runs push`: a finished run to the Hugging Face Hub, as a card, the model, its config and its report."""

import argparse
import json
import os
from pathlib import Path

from vit_train.console import put, say
from vit_train.errors import CheckpointError, ConfigError
from vit_train.rundir import records
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.runs.card import card
from vit_train.text import one_line


def run(options: argparse.Namespace) -> int:
    """Says what is to be uploaded and, with --yes, uploads it in one commit; the last line is the address then."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        raise ConfigError("push: needs the package huggingface_hub; pip install 'vit-train[hub]'") from None
    if len([part for part in options.repository.split("/") if part]) != 2 or options.repository.count("/") != 1:
        raise ConfigError(f"{options.repository}: must be ORG/NAME, such as me/vit-digits")
    found = find_run(options.run, options.outputs)
    files = contents(found, options)
    if (token := get_token()) is None:
        raise ConfigError("push: there is no token of the Hub; set HF_TOKEN, or log in with `hf auth login`")
    visible = "public" if options.public else "private"
    put(f"to {options.repository}, {visible} if it is new:")
    for name, content in files.items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        put(f"  {name:<12} {size:>12,} bytes")
    config = records.load_config(found)
    for key, value in (("dataset.root", config.dataset.root), ("init", config.init)):
        if value is not None:
            say(f"note: who can see the repository reads {key}={value} in config.yaml")
    if not options.yes:
        say("nothing is uploaded; --yes does it")
        return 0
    put(_upload(options.repository, files, token, private=not options.public))
    return 0


def contents(found: RunDir, options: argparse.Namespace) -> dict[str, Path | bytes]:
    """Name on the Hub -> a file or its bytes; raises ConfigError for a run that is not finished."""
    if not found.finished or not found.model.is_file():
        raise ConfigError(f"{options.run}: is not finished, so there is no model to upload; finish the run first")
    report = json.loads(found.report_json.read_text(encoding="utf-8"))
    if "run_dir" in report:  # where on a disk it was is for nobody else
        report["run_dir"] = found.path.name
    files: dict[str, Path | bytes] = {
        "README.md": card(found, options).encode(),
        "model.keras": found.model,
        "config.yaml": found.config,
        "report.json": (json.dumps(report, indent=2) + "\n").encode(),
    }
    if (onnx := found.path / "exports" / "model.onnx").is_file():
        files["model.onnx"] = onnx
    return files


def _upload(repository: str, files: dict[str, Path | bytes], token: str, private: bool) -> str:
    """Makes the repository if it is not there, commits the files, and returns the address of the commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        return str(hub.create_commit(repository, operations, commit_message="A run of vit-train").commit_url)
    except (OSError, ValueError, RuntimeError) as error:  # of the network, of names that cannot be, of an upload
        reason = one_line(str(error).strip().split("\n")[0].rstrip("."))
        raise CheckpointError(f"{repository}: cannot be uploaded to the Hub ({reason})") from error
