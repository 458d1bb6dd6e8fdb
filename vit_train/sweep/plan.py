"""The plan of a sweep: its jobs, their state, and the file `sweep.json` that keeps both."""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vit_train.compose import expand, load_config, parse
from vit_train.config import Config
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import replace_file
from vit_train.run_dir import RunDir, new_folder
from vit_train.runs.find import all_runs

State = Literal["waiting", "running", "completed", "failed", "interrupted"]
_LONGEST_NAME = 60


@dataclass
class Job:
    """One run of a sweep; `varied` has what the sweep varies, as a user would type it."""

    number: int  # from 1
    overrides: list[str]
    varied: dict[str, str]
    folder: str  # in that of the sweep
    epochs: int = 0  # asked for
    state: State = "waiting"
    exit_code: int | None = None  # negative for a signal
    reason: str | None = None  # of a failure
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What varied, in few words."""
        return ", ".join(f"{key.split('.')[-1]}={value}" for key, value in self.varied.items()) or "as given"

    def fail(self, exit_code: int, reason: str) -> None:
        """Notes a failure."""
        self.state, self.exit_code, self.reason = "failed", exit_code, reason


@dataclass
class Sweep:
    """A folder with jobs in it. `overrides` and `config` are those of the command, `keys` what varies."""

    path: Path
    overrides: list[str]
    config: str | None  # of --config
    keys: list[str]
    jobs: list[Job]

    def save(self, **more: Any) -> None:
        """Writes sweep.json, with `more` in it; raises CheckpointError if the disk refuses."""
        values = {**dataclasses.asdict(self), "path": str(self.path), **more}
        try:
            replace_file(self.path / "sweep.json", json.dumps(values, indent=2) + "\n")
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be written to ({error.strerror})") from error

    def log(self, job: Job) -> Path:
        """What the job's process prints."""
        return self.path / job.folder / "log.txt"

    def run(self, job: Job) -> RunDir | None:
        """The job's run directory, once it is there."""
        runs = [run for run in all_runs(self.path / job.folder) if run.config.is_file()]
        return runs[-1] if runs else None


def plan(overrides: Sequence[str], config: str | None) -> Sweep:
    """All jobs, each with a checked config or failed for want of one, and a new folder for them.

    Raises ConfigError, and makes nothing, if there are too many jobs, a key varies twice, or not one config is sound.
    """
    runs = expand(overrides)
    varies = [parse(text).is_sweep_override() for text in overrides]
    keys = [parse(text).key_or_group for text, each in zip(overrides, varies, strict=True) if each]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ConfigError(f"{twice[0]}: is varied twice; give all its values in one list")
    jobs, configs, errors = list[Job](), list[Config](), list[ConfigError]()
    for number, run in enumerate(runs, 1):
        values = [text.split("=", 1)[1] for text, each in zip(run, varies, strict=True) if each]
        varied = dict(zip(keys, values, strict=True))
        job = Job(number, run, varied, f"jobs/{number:0{len(str(len(runs)))}}{_file_name(varied)}")
        jobs.append(job)
        try:
            configs.append(load_config(run, config))
            job.epochs = configs[-1].train.epochs
        except ConfigError as error:
            errors.append(error)
            job.fail(error.exit_code, str(error))
    if not configs:
        raise errors[0]
    sweep = Sweep(new_folder(configs[0].outputs, "sweep", "jobs"), list(overrides), config, keys, jobs)
    sweep.save()
    return sweep


def _file_name(varied: dict[str, str]) -> str:
    text = "".join(f"-{key.split('.')[-1]}-{value}" for key, value in varied.items())
    return re.sub(r"[^\w.+-]+", "_", text)[:_LONGEST_NAME].rstrip("-._")


def load(path: Path) -> Sweep:
    """The sweep in a folder; raises ConfigError if there is none."""
    try:
        values = json.loads((path / "sweep.json").read_bytes())
        jobs = [Job(**job) for job in values["jobs"]]
        return Sweep(path, values["overrides"], values["config"], values["keys"], jobs)
    except OSError:
        raise ConfigError(f"sweep.resume={path}: is not a sweep, it has no sweep.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"sweep.resume={path}: its sweep.json cannot be read; start a new sweep") from error


def newest(overrides: list[str], config: str | None) -> Sweep | None:
    """The newest sweep of the same command, or None."""
    given = [text for text in overrides if parse(text).key_or_group == "outputs"]
    outputs = Path(load_config(given, config).outputs)
    for path in sorted(outputs.glob("*/*-sweep/sweep.json"), reverse=True):
        sweep = load(path.parent)
        if (sweep.overrides, sweep.config) == (overrides, config):
            return sweep
    return None
