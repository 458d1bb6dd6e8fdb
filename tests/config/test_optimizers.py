"""What `optimizer.groups` takes."""

import pytest

from vit_train.config.compose import load_config
from vit_train.config.convert import show
from vit_train.config.optimizers import ParameterGroup


@pytest.mark.parametrize(
    ("typed", "groups"),
    [
        ("[bias|norm]", [ParameterGroup(match="bias|norm", decay=0)]),
        ("[{match:embedding,learning_rate:0}]", [ParameterGroup(match="embedding", learning_rate=0)]),
        (
            "[norm,{match:'^block_(0|1)/',learning_rate:0.1,decay:2}]",
            [ParameterGroup(match="norm", decay=0), ParameterGroup(match="^block_(0|1)/", learning_rate=0.1, decay=2)],
        ),
    ],
)
def test_groups_are_shown_as_they_are_typed(typed, groups):
    found = load_config([f"optimizer.groups={typed}"]).optimizer.groups
    assert list(found) == groups
    assert show(found) == typed


def test_older_configs_are_of_adamw_and_their_exclude_is_no_decay(tmp_path):
    from vit_train.config.compose import to_yaml

    text = to_yaml(load_config(["optimizer.groups=[]"]))
    file = tmp_path / "config.yaml"
    older = text.replace("  name: adamw\n", "").replace("  groups: []\n", "  exclude:\n  - bias\n  - norm\n")
    assert older.count("name:") == text.count("name:") - 1
    file.write_text(older)
    assert load_config([], str(file)) == load_config(["optimizer.groups=[bias,norm]"])
