"""An MLflow store of files, or the one that MLFLOW_TRACKING_URI names."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# MLflow reads these when it is imported. It still has its store of files but wants to be asked for it, since a database
# does more; that takes more packages and seconds to set up. And it would tell its makers that it is used.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that does not answer holds up a run for seconds, not for 15 minutes, and then the run continues without it.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from vit_train.config.convert import show, values_of
from vit_train.config.schema import Config
from vit_train.rundir.layout import RunDir
from vit_train.rundir.records import read_environment

_EXPERIMENT = "vit-train"
_VIEW = {"mlflow.experimentKind": "custom_model_development"}  # or its page asks whether these are chats with a model


class MLflow:
    """A Log in the experiment vit-train of OUTPUTS/mlruns, of a sweep's run SWEEP/mlruns.

    A run that continues does so in the same MLflow run.
    """

    def __init__(self, config: Config, run: RunDir) -> None:
        self.run = run
        self.store = _store(run)
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or self.store.as_uri())
        self.id = self._known() or self._created(config)

    def _known(self) -> str | None:
        """The MLflow run that the run directory names, running again."""
        if not self.run.id_in("mlflow").exists():
            return None
        known = self.run.id_in("mlflow").read_text().strip()
        self.client.update_run(known, status="RUNNING")
        return known

    def _created(self, config: Config) -> str:
        """A new MLflow run with the config as its parameters."""
        with _alone_in(self.store.parent):  # or the runs of a sweep would make an experiment each
            experiment = self.client.get_experiment_by_name(_EXPERIMENT)
            number = experiment.experiment_id if experiment else self.client.create_experiment(_EXPERIMENT, tags=_VIEW)
        path = self.run.path.resolve()
        name = f"{path.parent.name}/{path.name}"
        created = str(self.client.create_run(number, run_name=name, tags=_tags(config, self.run)).info.run_id)
        self.client.log_batch(created, params=[Param(key, show(value)) for key, value in values_of(config).items()])
        if self.run.config.exists():  # so a store that takes no files, such as for want of a package, says so now
            self.client.log_artifact(created, str(self.run.config))
        self.run.id_in("mlflow").write_text(created + "\n")
        return created

    def steps(self, name: str) -> set[int]:
        """See Log."""
        return {metric.step for metric in self.client.get_metric_history(self.id, name)}

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See Log."""
        now = round(time.time() * 1000)
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])

    def files(self, step: int) -> None:
        """See Log; these are the page, the report and the model."""
        for path in (self.run.report_html, self.run.report_json, self.run.model):
            if path.exists():  # a run that was stopped has no model
                self.client.log_artifact(self.id, str(path))
        if self.run.figures.exists():
            self.client.log_artifacts(self.id, str(self.run.figures), "figures")

    def close(self, status: str) -> None:
        """See Log."""
        self.client.set_terminated(self.id, status)


open_log = MLflow


def _tags(config: Config, run: RunDir) -> dict[str, str]:
    """What runs are looked for by; those that begin with mlflow. have a place of their own on its page."""
    tags = {"dataset": config.dataset.name, "model": config.model.name, "run_dir": str(run.path.resolve())}
    if not run.environment.exists():
        return tags
    there = read_environment(run)
    tags |= {name: show(there.get(name)) for name in ("device", "precision", "data_sha256")}
    tags |= {"mlflow.source.name": show(there.get("command")), "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": show(there["git"]["commit"])} if there.get("git") else {})


def _store(run: RunDir) -> Path:
    """The folder of the store: OUTPUTS/mlruns, or SWEEP/mlruns unless a run of it has begun with one of its own."""
    outputs = run.path.resolve().parents[1]
    own = outputs / "mlruns"
    return run.sweep / "mlruns" if run.sweep and not own.exists() else own


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process is in here; where a file system has no locks it does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
