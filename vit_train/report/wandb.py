"""Weights & Biases: at its server for those who have logged in, else in files that `wandb sync` uploads."""

import os
from collections.abc import Mapping
from typing import Any

# wandb reads these when it is imported. What it prints, and what it tells its makers of errors, nobody has asked for.
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
# A server that does not answer holds up a run for seconds when it begins and a minute when it ends; the files have all.
os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
os.environ.setdefault("WANDB_FINISH_TIMEOUT", "60")
import wandb

from vit_train.config.convert import values_of
from vit_train.config.schema import Config
from vit_train.console import say
from vit_train.rundir.layout import RunDir

_EXIT_CODES = {"FINISHED": 0, "FAILED": 1, "KILLED": 255}


class WandB:
    """A Log in the project vit-train, or the one that WANDB_PROJECT names, with its files in RUN/wandb.

    A run that continues does so in the same W&B run. Offline that is new files with all of the run, and `wandb sync` of
    these puts them in the place of what the server has.
    """

    def __init__(self, config: Config, run: RunDir) -> None:
        self.run = run
        known, mode, path = run.id_in("wandb"), _mode(), run.path.resolve()
        self.log = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "vit-train"),
            name=f"{path.parent.name}/{path.name}",
            group=run.sweep.name if run.sweep else None,
            id=known.read_text().strip() if known.exists() else None,
            resume="allow" if mode == "online" else None,
            reinit="create_new",  # a program may train several runs
            mode=mode,
            dir=path,
            config=values_of(config),
            allow_val_change=True,  # such as of train.epochs
            settings=wandb.Settings(console="off"),
        )
        self.log.define_metric("*", step_metric="step")
        if mode != "disabled":
            known.write_text(self.log.id + "\n")
            say(f"logging.wandb: {self.log.url or f'offline; wandb sync {self.log.settings.sync_dir} uploads it'}")

    def steps(self, name: str) -> set[int]:
        """See Log. A test figure is in the summary, where the last one counts."""
        summary: Any = self.log.summary  # whose methods have no types
        return set() if name.startswith("test_") else set(range(int(summary.get("step", 0)) + 1))

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See Log."""
        test = {name: value for name, value in values.items() if name.startswith("test_")}
        self.log.summary.update(test)
        if rest := {name: value for name, value in values.items() if name not in test}:
            self.log.log({"step": step, **rest})

    def files(self, step: int) -> None:
        """See Log; these are figures alone."""
        if drawn := {f"figures/{path.stem}": wandb.Image(path) for path in sorted(self.run.figures.glob("*.png"))}:
            self.log.log({"step": step, **drawn})

    def close(self, status: str) -> None:
        """See Log."""
        self.log.finish(_EXIT_CODES[status])


open_log = WandB


def _mode() -> Any:
    """As WANDB_MODE or `wandb offline` say; but offline where nobody has logged in, for which wandb would ask."""
    asked = wandb.setup().settings.mode
    return asked if asked != "online" or wandb.login(prompt=False, verify=False) else "offline"
