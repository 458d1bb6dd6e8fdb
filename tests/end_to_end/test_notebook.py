"""docs/notebook.ipynb runs from an empty folder, and what is committed of it is small and of no machine."""

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_what_is_committed_has_no_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_it_runs_from_an_empty_folder(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    place = tmp_path / "empty"
    place.mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=800, resources={"metadata": {"path": str(place)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    views = [page for page in pages if "vit-train-run" in page]  # the others are the lines of progress
    assert len(views) == 2
    assert all("data:image/png;base64," in view and "test accuracy" in view for view in views)
    said = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "there is no key model.depht; did you mean model.depth" in said
    assert said.count("pictures/") >= 4
    assert len(list(place.glob("outputs/*/*-sweep/sweep.html"))) == 1
