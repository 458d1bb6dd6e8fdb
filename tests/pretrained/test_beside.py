"""What timm's names mean, against what timm makes of each: tests/golden/pretrained/timm.json is its own registry."""

import json
from pathlib import Path

import pytest

from vit_train.errors import CheckpointError
from vit_train.pretrained.beside import facts
from vit_train.pretrained.families import TIMM

MODELS = json.loads((Path(__file__).resolve().parents[1] / "golden" / "pretrained" / "timm.json").read_text())


def said(folder, name, width, **more):
    (folder / "config.json").write_text(json.dumps({"architecture": name, "num_features": width, **more}))
    return facts(folder / "model.safetensors", TIMM, width)


def test_each_name_has_the_heads_epsilon_and_activation_that_timm_gives_it(tmp_path):
    assert len(MODELS) > 120
    wrong = {}
    for name, known in MODELS.items():
        if known is None:
            with pytest.raises(CheckpointError, match=f"blocks of {name} are not those of a Vision Transformer"):
                said(tmp_path, name, 768)
            continue
        width, *expected = known
        found = said(tmp_path, name, width)
        if [found["heads"], found["norm_epsilon"], found["activation"]] != expected:
            wrong[name] = found, expected
    assert wrong == {}


def test_arguments_that_a_model_was_made_with_come_first(tmp_path):
    found = said(tmp_path, "vit_tiny_patch16_224", 192, model_args={"num_heads": 6, "act_layer": "gelu_tanh"})
    assert (found["heads"], found["activation"]) == (6, "gelu_tanh")
