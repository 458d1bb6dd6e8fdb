"""A hook of mkdocs: pages that are made of other files, so that each thing is written once."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_IN_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages in the root of the checkout, the reference of all keys, and the notebook."""
    sys.path.insert(0, str(ROOT))
    from vit_train.config.help import help_markdown

    pages = {new: _of_root((ROOT / name).read_text(encoding="utf-8")) for name, new in _IN_ROOT.items()}
    pages["keys.md"] = help_markdown()
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text(encoding="utf-8"))
    pages["notebook.md"] = "\n\n".join(map(_cell, notebook["cells"]))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(text: str, **_: Any) -> str:
    """Leads to the pages of files outside of docs/, and leaves files of code without a link."""
    for name, page in _IN_ROOT.items():
        text = text.replace(f"](../{name}", f"]({page}")
    text = text.replace("](notebook.ipynb)", "](notebook.md)")
    return re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", text)


def _of_root(text: str) -> str:
    """A page of the root as one of docs/."""
    for name, page in _IN_ROOT.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text.replace("](docs/", "](").replace('src="docs/', 'src="')


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
