"""Runs to look at: made of a few files, or really trained."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, without_graphs

from vit_train.config.compose import load_config, to_yaml
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., RunDir]:
    """Makes a run of tmp_path/outputs out of its files: `made("18-00-00-digits-vit", ["seed=1"], val_accuracy=[0.5])`.

    It has a row of history for each of `val_accuracy`, and a report if `test_accuracy` is given.
    """

    def make(
        name: str,
        overrides: list[str] | None = None,
        val_accuracy: list[float] | None = None,
        test_accuracy: float | None = None,
    ) -> RunDir:
        run = RunDir(tmp_path / "outputs" / "2026-11-22" / name)
        run.checkpoints.mkdir(parents=True)
        run.config.write_text(config_yaml(*overrides or []))
        if val_accuracy:
            history.write([row(epoch, share) for epoch, share in enumerate(val_accuracy, 1)], run.history)
        if test_accuracy is not None:
            test = {"loss": 1.25, "accuracy": test_accuracy, "top5_accuracy": 0.99}
            told = {"status": "completed", "parameters": 12_345, "split": {"test": 10_000}, "test": test}
            run.report_json.write_text(json.dumps(told))
            run.report_md.write_text(
                f"# vit: {test_accuracy:.2%} test accuracy\n\n| | images |\n| :-- | --: |\n| test | 7 |\n"
            )
        return run

    return make


@cache
def config_yaml(*overrides: str) -> str:
    return to_yaml(load_config(overrides))


def row(epoch: int, val_accuracy: float) -> dict[str, Any]:
    figures = {"loss": 3 / epoch, "accuracy": 0.3, "top5_accuracy": 0.6, "val_loss": 2 / epoch}
    progress = {"epoch": epoch, "step": epoch * 10, "learning_rate": 0.001, "seconds": 60.0, "images_per_second": 50.0}
    return progress | figures | {"val_accuracy": val_accuracy, "val_top5_accuracy": 0.7}


@pytest.fixture(scope="session")
def trained(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run on digits that was really trained, if not for long; for all tests, so not to be changed."""
    from vit_train.run import train

    outputs = tmp_path_factory.mktemp("trained")
    with without_graphs():
        return RunDir(Path(train(load_config([*TINY, "model.image_size=16", f"outputs={outputs}"])).run_dir))
