"""What this project takes of others though it is private there: this test says which of it is gone.

Everything else is used through public names. Whoever adds a private one adds a row here, and whoever raises a version
in pyproject.toml sees what has to be looked at.
"""

import argparse
import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# (where from, what is looked up there, what it is used for)
PRIVATE = [
    ("keras.optimizers.AdamW", "_apply_weight_decay", "replaced: the decay is in the step"),
    ("keras.optimizers.AdamW", "_get_variable_index", "which slots are a variable's"),
    ("keras.optimizers.AdamW", "_var_key", "what tells a variable's copies of several devices to be one"),
    (
        "keras.optimizers.AdamW",
        "_all_reduce_sum_gradients",
        "replaced: replicas' gradients are added up before a step is judged",
    ),
    ("keras.layers.Layer", "_flatten_layers", "finds the ternary layers inside of blocks"),
    ("keras.layers.MultiHeadAttention", "_build_attention", "makes _dropout_layer, which the fused layer replaces"),
    (
        "keras.src.backend.jax.trainer.JAXTrainer",
        "jax_state_sync",
        "brings a running epoch's state into variables",
    ),
    (
        "keras.src.backend.jax.trainer.JAXTrainer",
        "compute_loss_and_updates",
        "the loss of a part of a batch, with its gradient",
    ),
    (
        "tensorflow.python.framework.convert_to_constants",
        "convert_variables_to_constants_v2",
        "freezes a function for ONNX",
    ),
    ("hydra.core.override_parser.overrides_parser", "OverridesParser", "takes arguments apart as Hydra does"),
    ("hydra.core.override_parser.types", "Glob", "an override that stands for options"),
    ("hydra.core.override_parser.types", "IntervalSweep", "an override that stands for an interval"),
    ("hydra.core.override_parser.types", "Override", "an override, taken apart"),
    ("hydra.core.override_parser.types", "RangeSweep", "an override that stands for a range"),
    ("submitit.core.utils", "FailedJobError", "what a refused job raises"),
    ("submitit.local.local", "LocalJob", "a job that is no cluster's"),
]
# Attributes that instances have: made in a small instance and looked for there.
INSTANCES = {"_dropout_layer", "_momentums", "_velocities", "_learning_rate", "_trainable_variables", "_actions"}
LIBRARIES = ("hydra", "keras.src", "submitit", "tensorflow.python")
PUBLIC = {"hydra", "hydra.errors", "submitit"}


def look_up(path):
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(path)


@pytest.mark.parametrize(("where", "name", "use"), PRIVATE)
def test_it_is_still_there(tensorflow, where, name, use):
    pytest.importorskip(where.split(".")[0])
    if ".jax." in where:
        pytest.importorskip("jax")
    try:
        owner = look_up(where)
    except (ImportError, AttributeError):
        pytest.fail(f"{where} is gone; it had {name}, which is used here: {use}")
    assert hasattr(owner, name), f"{where}.{name} is gone; it is used here: {use}"


def test_instances_still_have_what_is_used(tensorflow):
    import keras

    attention = keras.layers.MultiHeadAttention(2, 4, dropout=0.1)
    attention.build((None, 3, 8), (None, 3, 8))
    optimizer = keras.optimizers.AdamW()
    optimizer.build(attention.trainable_variables)
    owners = (attention, optimizer, argparse.ArgumentParser())
    assert not {name for name in INSTANCES if not any(hasattr(owner, name) for owner in owners)}


def test_the_list_is_complete():
    """Every import from a private module, and every underscored attribute of something of others, has its row."""
    listed = {(where, name) for where, name, _ in PRIVATE}
    underscored = {name for _, name, _ in PRIVATE} | INSTANCES
    for file in (ROOT / "vit_train").rglob("*.py"):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith(LIBRARIES) and module not in PUBLIC:
                for alias in node.names:
                    assert (module, alias.name) in listed, f"{file}: {module}.{alias.name}"
            if isinstance(node, ast.Attribute) and re.fullmatch("_[a-z]\\w*", node.attr):
                known = node.attr in underscored or node.attr in own_names() or node.attr in DOCUMENTED
                assert known, f"{file}:{node.lineno}: {node.attr} is no name of this project"


DOCUMENTED = ("_exit", "_replace")  # of Python: os._exit, and what a named tuple has


def own_names():
    """Names with an underscore that this project defines: functions, and attributes and variables that it assigns."""
    if not _OWN:
        for file in (ROOT / "vit_train").rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    _OWN.add(node.name)
                elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                    _OWN.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return _OWN


_OWN: set[str] = set()
