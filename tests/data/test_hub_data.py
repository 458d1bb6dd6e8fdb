"""dataset.root=hf:ORG/NAME by the Hub's own library, offline, from a cache laid out as that keeps it."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError, DataError
from vit_train.pretrained import hub

pytest.importorskip("pyarrow")
GOLDEN = Path(__file__).parents[1] / "golden" / "hf" / "hub"
COMMIT = "0123456789012345678901234567890123456789"


def load(root):
    return load_all(load_config(["dataset=hf", f"dataset.root={root}", "model.image_size=8", "model.patch_size=4"]))


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """The snapshot of pets/toy in the cache, without network, as with HF_HUB_OFFLINE=1."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    hub.data.cache_clear()
    folder = tmp_path / "datasets--pets--toy"
    for ref, commit in (("main", COMMIT), ("refs/convert/parquet", COMMIT[::-1])):
        (folder / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / ref).write_text(commit)
    shutil.copytree(GOLDEN, folder / "snapshots" / COMMIT)
    shutil.copytree(GOLDEN / "data", folder / "snapshots" / COMMIT[::-1] / "default")
    return folder / "snapshots" / COMMIT


@pytest.mark.parametrize("root", ["hf:pets/toy", "hf:pets/toy/data", f"hf:pets/toy@{COMMIT}",
                                  "hf:pets/toy/default@refs/convert/parquet"])  # fmt: skip
def test_a_data_set_of_the_hub_is_that_in_the_folder(root):
    found, expected = load(root), load(GOLDEN)
    assert found.class_names == expected.class_names == ("dog", "cat")
    np.testing.assert_array_equal(found.train.read(np.arange(6)), expected.train.read(np.arange(6)))
    assert found.fingerprint == expected.fingerprint


@pytest.mark.parametrize("root", ["hf:a/b", "hf:pets/toy@v1", "hf:", "hf:///"])
def test_what_cannot_be_had_is_one_sentence(root):
    with pytest.raises(DataError, match=rf"^dataset.root={root}: cannot be had from the Hub \(") as error:
        load(root)
    assert "\n" not in str(error.value)


def test_without_parquet_files_it_says_where_they_may_be(repository):
    shutil.rmtree(repository / "data")
    (repository / "README.md").write_text("pets")
    with pytest.raises(
        DataError, match=r"hf:pets/toy: has no parquet file; the Hub's own are in hf:pets/toy@refs/conv"
    ):
        load("hf:pets/toy")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"hf:pets/toy: needs .* pip install 'vit-train\[hub\]', or give a folder$"):
        load("hf:pets/toy")


def test_it_is_for_one_kind_of_data_set():
    with pytest.raises(ConfigError, match=r"^dataset.root=hf:a/b: is a data set of the Hub; use dataset=hf with it$"):
        load_config(["dataset=folder", "dataset.root=hf:a/b"])
