"""init=hf:ORG/NAME by the Hub's own library, offline, from a cache laid out as that keeps it."""

import shutil
import sys
from pathlib import Path

import pytest

from vit_train.config.compose import load_config
from vit_train.errors import CheckpointError, ConfigError
from vit_train.pretrained import hub

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "pretrained"
COMMIT = "0123456789012345678901234567890123456789"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a case into the cache: `cached("timm/vit", "timm_vit")`; without network, as in HF_HUB_OFFLINE=1."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.local.cache_clear()

    def put(repository, case):
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(COMMIT)
        shutil.copytree(GOLDEN / case, folder / "snapshots" / COMMIT)

    return put


@pytest.mark.parametrize("init", ["timm:vit_tiny", "hf:timm/vit_tiny", f"hf:timm/vit_tiny@{COMMIT}"])
def test_weights_of_the_hub_are_found_in_its_cache(cached, init):
    cached("timm/vit_tiny", "timm_vit")
    assert hub.local(init).name == COMMIT
    model = load_config([f"init={init}"]).model
    assert (model.heads, model.projection_dim, model.mean) == (3, 24, (0.5, 0.5, 0.5))


@pytest.mark.parametrize("init", ["timm:nothing", "hf:a/b@v1", "hf:a/b/c/d"])
def test_what_cannot_be_had_is_one_sentence(cached, init):
    with pytest.raises(CheckpointError, match=f"^init={init}: cannot be had from the Hub ") as raised:
        hub.local(init)
    assert "\n" not in str(raised.value)


def test_a_repository_without_weights_is_one_sentence(cached, tmp_path):
    cached("a/b", "timm_vit")
    (tmp_path / "models--a--b" / "snapshots" / COMMIT / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"^init=hf:a/b: has no \.safetensors file of a name that is known"):
        hub.local("hf:a/b")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    hub.local.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'vit-train\[hub\]', or give a file$"):
        hub.local("hf:a/b")


def test_a_path_is_itself(tmp_path):
    assert hub.local(str(tmp_path)) == tmp_path
