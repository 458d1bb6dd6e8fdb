"""`vit-runs weights` says of each tensor what it becomes."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vit_train.runs.cli import run

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "pretrained"


def test_each_tensor_has_a_place_or_a_reason(capsys):
    assert run(["weights", str(GOLDEN / "open_clip")]) == 0
    out = capsys.readouterr().out
    assert (
        "   2 x visual.transformer.resblocks.*.attn.in_proj_weight  72 x 24\n       block_*/attention/[query,key" in out
    )
    assert "  18 x not used: of the text encoder\n" in out
    assert "weights of open_clip: 31 tensors used, 19 not used, 0 unknown\n" in out
    assert {"  model.pre_norm=true", "  model.activation=quick_gelu", "  model.heads=3"} < set(out.splitlines())


def test_what_is_unknown_and_what_is_to_be_set_is_said(tmp_path, capsys):
    tensors = load_file(GOLDEN / "timm_vit" / "model.safetensors") | {"rel_pos\n": np.zeros(3, "f")}
    save_file(tensors, tmp_path / "x.safetensors")
    assert run(["weights", str(tmp_path / "x.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "   1 x rel_pos\\n  3\n       unknown: has no place in our model\n" in out
    assert out.endswith(
        "and needs model.heads, model.mean, model.std: neither tensors nor a config.json beside them say\n"
    )


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [("model.keras", 2, "must be a .safetensors, .npz or .h5 file"), ("x.npz", 4, "there is no such file")],
)
def test_what_is_none_is_one_sentence(tmp_path, capsys, name, code, sentence):
    assert run(["weights", str(tmp_path / name)]) == code
    assert sentence in capsys.readouterr().err
