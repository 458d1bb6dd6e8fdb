"""The plan of a sweep: its jobs, their state, and the file `sweep.json` that keeps both."""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from vit_train.config import plugins
from vit_train.config.compose import expand, load_config, parse
from vit_train.config.convert import former_names, show, unknown_key, values_of
from vit_train.config.groups import groups
from vit_train.config.own import ACTIVE
from vit_train.config.saved import VERSION
from vit_train.config.schema import Config
from vit_train.console import say, say_once
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import is_there, read_json, replace_file
from vit_train.rundir.find import all_runs
from vit_train.rundir.layout import RunDir, new_folder

T = TypeVar("T")
State = Literal["waiting", "running", "completed", "pruned", "failed", "interrupted"]
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
    trials: int | None = None  # of a search; a grid has none
    prune: bool = True  # whether a search stops hopeless jobs
    plugins: dict[str, str] = field(default_factory=dict)  # sha256 of each file of the command's plugin=

    @property
    def total(self) -> int:
        """How many jobs there will be."""
        return max(len(self.jobs), self.trials or 0)

    @property
    def begins_as_it_is(self) -> bool:
        """Whether the first job of a search has the values that its keys have where nothing is searched.

        Of a group it is not known which option that is.
        """
        return not any(key in groups() for key in self.keys)

    def add(self, varied: dict[str, str], total: int) -> Job:
        """A new job, the next of `total`: waiting, or failed if its config is wrong."""
        keys = [parse(text, several=True).key_or_group for text in self.overrides]
        pairs = zip(keys, self.overrides, strict=True)
        overrides = [f"{key}={varied[key]}" if key in varied else text for key, text in pairs]
        number = len(self.jobs) + 1
        job = Job(number, overrides, varied, f"jobs/{number:0{len(str(total))}}{_file_name(varied)}")
        try:
            config = load_config(overrides, self.config)
            if config.compute.devices == "cluster":
                raise ConfigError(
                    "compute.devices=cluster: the runs of a sweep have one process each; use another value"
                )
            job.epochs = config.train.epochs
        except ConfigError as error:
            job.fail(error.exit_code, str(error))
        self.jobs.append(job)
        return job

    def save(self, **more: Any) -> None:
        """Writes sweep.json, with `more` in it; raises CheckpointError if the disk refuses."""
        values = {"version": VERSION, **dataclasses.asdict(self), "path": str(self.path), **more}
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


def plan(overrides: Sequence[str], config: str | None, trials: int | None = None) -> Sweep:
    """All jobs of a grid, or the first of a search of so many `trials`, each checked, and a new folder for them.

    Raises ConfigError, and makes nothing, if there are too many jobs, a key varies twice, or not one config is sound.
    """
    parsed = [parse(text, several=True) for text in overrides]
    varied = [override for override in parsed if override.is_sweep_override()]
    keys = [override.key_or_group for override in varied]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ConfigError(f"{twice[0]}: is varied twice; give all its values in one list")
    if trials and not keys:
        raise ConfigError(f"sweep.trials={trials}: there is nothing to search; vary a key, as in KEY=interval(A,B)")
    sweep = Sweep(Path(), list(overrides), config, keys, [], trials, plugins=dict(ACTIVE.get().files))
    combinations = _grid(overrides) if trials is None else _as_it_is(sweep)
    for values in combinations:
        sweep.add(dict(zip(keys, values, strict=True)), trials or len(combinations))
    if sweep.jobs and all(job.state == "failed" for job in sweep.jobs):
        raise ConfigError(str(sweep.jobs[0].reason))
    sweep.path = new_folder(_outputs(overrides, config), "sweep", "jobs")
    sweep.save()
    return sweep


def _grid(overrides: Sequence[str]) -> list[list[str]]:
    """The values of each combination."""
    swept = [parse(text, several=True).is_sweep_override() for text in overrides]
    return [[text.split("=", 1)[1] for text, each in zip(run, swept, strict=True) if each] for run in expand(overrides)]


def _as_it_is(sweep: Sweep) -> list[list[str]]:
    """The values that the keys of a search have where nothing is searched, if that is what it begins with."""
    fixed = [text for text in sweep.overrides if not parse(text, several=True).is_sweep_override()]
    values = values_of(load_config(fixed, sweep.config))
    names = [*values, *groups()]
    for key in sweep.keys:
        if key not in names:
            raise unknown_key(key, key, names)
    return [[show(values[key]) for key in sweep.keys]] if sweep.begins_as_it_is else []


def _outputs(overrides: Sequence[str], config: str | None) -> str:
    return load_config(
        [text for text in overrides if parse(text, several=True).key_or_group == "outputs"], config
    ).outputs


def _file_name(varied: dict[str, str]) -> str:
    text = "".join(f"-{key.split('.')[-1]}-{value}" for key, value in varied.items())
    return re.sub(r"[^\w.+-]+", "_", text)[:_LONGEST_NAME].rstrip("-._")


def load(path: Path) -> Sweep:
    """The sweep in a folder, of whatever version, in today's names of keys.

    Raises ConfigError if there is none, and CheckpointError if its sweep.json cannot be read.
    """
    file = path / "sweep.json"
    try:
        values = read_json(file)
        sweep = _of(Sweep, values, path=path, jobs=[_of(Job, job) for job in values["jobs"]])
        if (version := values.get("version", 1)) > VERSION:
            say_once(f"note: {file}: is of version {version}, this vit-train of {VERSION}")
        if any(map(plugins.named, [sweep.overrides, *(job.overrides for job in sweep.jobs)])):
            raise ValueError("it names code to execute, as no sweep of vit-train does")
        return _in_todays_names(sweep)
    except FileNotFoundError:
        raise ConfigError(f"sweep.resume={path}: is not a sweep, it has no sweep.json") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}); start a new sweep") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: cannot be read (it is damaged: {error}); start a new sweep") from error


def _of(kind: type[T], values: dict[str, Any], **known: Any) -> T:
    """The dataclass with those of the values that it has; raises TypeError if one without a default is missing."""
    names = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names} | known)


def _in_todays_names(sweep: Sweep) -> Sweep:
    now = former_names(Config)

    def renamed(texts: list[str]) -> list[str]:
        pairs = [text.partition("=") for text in texts]
        return [now.get(key, key) + sign + value for key, sign, value in pairs]

    sweep.overrides, sweep.keys = renamed(sweep.overrides), renamed(sweep.keys)
    for job in sweep.jobs:
        job.overrides = renamed(job.overrides)
        job.varied = {now.get(key, key): value for key, value in job.varied.items()}
    return sweep


def newest(overrides: list[str], config: str | None, search: bool) -> Sweep | None:
    """The newest sweep of the same command, or None; one that cannot be read is noted and passed over."""
    for path in sorted(Path(_outputs(overrides, config)).glob("*/*-sweep"), reverse=True):
        if not is_there(path / "sweep.json"):
            continue
        try:
            sweep = load(path)
        except (ConfigError, CheckpointError) as error:
            say(f"note: {error}; sweep.resume=auto passes it over")
            continue
        if (sweep.overrides, sweep.config, sweep.trials is not None) == (overrides, config, search):
            return sweep
    return None
