"""Tiny runs with their logs, read back by TensorBoard, MLflow and Weights & Biases themselves."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.util import tensor_util

from vit_train.errors import ConfigError
from vit_train.report.loggers import Loggers
from vit_train.report.mlflow import MlflowClient
from vit_train.run import train
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir

TENSORBOARD, MLFLOW, WANDB = "logging.tensorboard=true", "logging.mlflow=true", "logging.wandb=true"
CLOCK = ("seconds", "images_per_second")


def in_tensorboard(run, part):
    """{(tag, step): [tensor, ...]} of one of the folders."""
    read = EventAccumulator(str(run.tensorboard / part), size_guidance={TENSORS: 0}).Reload()
    found = {}
    for tag in read.Tags()["tensors"]:
        for event in read.Tensors(tag):
            found.setdefault((tag, event.step), []).append(tensor_util.make_ndarray(event.tensor_proto))
    return found


def scalars_in_tensorboard(run):
    """{(name as in history.csv, step): [value, ...]}."""
    parts = {"train": "", "validation": "val_", "test": "test_"}
    return {
        (prefix + tag, step): values
        for part, prefix in parts.items()
        if (run.tensorboard / part).exists()
        for (tag, step), values in in_tensorboard(run, part).items()
    }


def in_hparams(outputs):
    """[({hyperparameter: value}, {(folder, tag): value}), ...] of the trials in TensorBoard's view HPARAMS."""
    found = EventMultiplexer().AddRunsFromDirectory(str(outputs)).Reload()
    backend = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(found, str(outputs))))
    columns = backend.experiment_from_metadata(
        RequestContext(), "", True, backend.hparams_metadata(RequestContext(), ""), []
    )
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=99)
    request.allowed_statuses.extend(api_pb2.Status.values())
    for metric in columns.metric_infos:
        request.col_params.add(metric=metric.name)
    for each in columns.hparam_infos:
        request.col_params.add(hparam=each.name, include_in_result=True)
    groups = list_session_groups.Handler(RequestContext(), backend, "", request).run().session_groups
    return [
        (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {(value.name.group, value.name.tag): value.value for value in group.metric_values},
        )
        for group in groups
    ]


def in_mlflow(outputs):
    """The only run in the store, and its metrics as {(name, step): [value, ...]}."""
    client = MlflowClient((outputs / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("vit-train").experiment_id])
    found = {}
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            found.setdefault((name, metric.step), []).append(metric.value)
    return run, found


def in_wandb(run):
    """What `wandb leet inspect` reads of the newest files of a run that was logged offline.

    Its summary, with all that it says of the run, and its history as {(name, step): [value, ...]}.
    """
    file = max(run.path.glob("wandb/offline-run-*/*.wandb"))  # their names begin with the time

    def read(*options):
        command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", *options, file]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    found = {}
    for record in map(json.loads, read().splitlines()):
        if record["type"] == "history":
            row = {name: value for name, value in record["history"]["item"].items() if not name.startswith("_")}
            for name, value in row.items():
                if name != "step" and not name.startswith("figures/"):
                    found.setdefault((name, row["step"]), []).append(value)
    return json.loads(read("--summary")), found


@pytest.fixture
def nobody_logged_in(tmp_path_factory, monkeypatch):
    """Keeps wandb off who runs the tests: their key, and the server that their settings name."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.teardown()  # so that it reads these


def in_run_directory(run):
    """{(name, step): value} of all that is to be logged."""
    rows, test = history.read(run.history), json.loads(run.report_json.read_text())["test"] or {}
    found = {(name, int(row["step"])): value for row in rows for name, value in row.items() if name != "step"}
    last = int(rows[-1]["step"])
    return found | {(f"test_{name}", last): value for name, value in test.items() if isinstance(value, float)}


def require_same(logged, wanted):
    """Each figure is there once; those of the clock may be of an earlier time that the epoch was trained."""
    assert logged.keys() == wanted.keys()
    for (name, step), values in logged.items():
        assert len(values) == 1, (name, step)
        assert name in CLOCK or values[0] == pytest.approx(wanted[name, step], rel=1e-6), (name, step)


def at_epochs(found):
    """Those of `in_run_directory` that are no test figures, which W&B has in its summary."""
    return {(name, step): value for (name, step), value in found.items() if not name.startswith("test_")}


@pytest.mark.usefixtures("nobody_logged_in")
def test_who_has_not_logged_in_at_wandb_is_offline_and_not_asked(stopped, tiny, capsys, eagerly):
    """A run that was stopped and continued is one W&B run, and its newest files have all of it."""
    run = stopped(tiny(WANDB))
    said = capsys.readouterr().err
    assert f"logging.wandb: offline; wandb sync {run.path}/wandb/offline-run-" in said
    begun, logged = in_wandb(run)
    require_same(logged, at_epochs(in_run_directory(run)))
    assert (begun["exit_code"], begun["project"]) == (255, "vit-train")

    train(tiny(WANDB, "figures=true", f"resume={run.path}"))
    told, logged = in_wandb(run)
    require_same(logged, at_epochs(in_run_directory(run)))
    assert (told["exit_code"], told["run_id"]) == (0, begun["run_id"])
    assert told["name"] == f"{run.path.parent.name}/{run.path.name}"
    assert (told["config"]["model.depth"], told["config"]["model.head_units"]) == (1, [16])
    test = {name: value for name, value in told["summary"].items() if name.startswith("test_")}
    assert test == pytest.approx({name: value for (name, _), value in in_run_directory(run).items() if name in test})
    assert "test_accuracy" in test
    drawn = {name.removeprefix("figures/") for name in told["summary"] if name.startswith("figures/")}
    assert drawn == {path.stem for path in run.figures.glob("*.png")} >= {"curves", "confusion"}
    assert len(set(run.path.glob("wandb/offline-run-*"))) == 2


@pytest.mark.usefixtures("nobody_logged_in")
def test_a_wandb_server_that_does_not_answer_costs_seconds_and_a_note(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        loggers = Loggers(tiny(WANDB), RunDir(tmp_path))
    assert loggers.logs == {}
    assert "note: logging.wandb ended early (CommError: " in capsys.readouterr().err


@pytest.fixture
def interrupted(stopped, tiny, eagerly):
    """The directory of a run with both logs that was stopped in its second epoch."""
    return stopped(tiny(TENSORBOARD, MLFLOW))


@pytest.mark.slow
def test_a_run_that_goes_on_has_every_epoch_once(interrupted, tiny, tmp_path):
    """Its checkpoint is lost, as if it had been killed before there was one: the first epoch is trained twice."""
    wanted = in_run_directory(interrupted)
    assert {step for _, step in wanted} == {2}
    killed, metrics = in_mlflow(tmp_path)
    assert killed.info.status == "KILLED"
    require_same(metrics, wanted)
    require_same(scalars_in_tensorboard(interrupted), wanted)

    shutil.rmtree(interrupted.checkpoints)
    interrupted.checkpoints.mkdir()
    train(tiny(TENSORBOARD, MLFLOW, "figures=true", f"resume={interrupted.path}"))
    wanted = in_run_directory(interrupted)
    assert ("test_brier", 4) in wanted
    finished, metrics = in_mlflow(tmp_path)
    assert (finished.info.run_id, finished.info.status) == (killed.info.run_id, "FINISHED")
    require_same(metrics, wanted)
    require_same(scalars_in_tensorboard(interrupted), wanted)

    assert (finished.data.params["model.depth"], finished.data.params["dataset.root"]) == ("1", "null")
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    assert {each.path for each in client.list_artifacts(finished.info.run_id)} == {
        "config.yaml", "report.html", "report.json", "model.keras", "figures"
    }  # fmt: skip
    kept = client.download_artifacts(finished.info.run_id, "model.keras", str(tmp_path))
    assert Path(kept).read_bytes() == interrupted.model.read_bytes()
    drawn = {path.stem for path in interrupted.figures.glob("*.png")}
    assert drawn >= {"curves", "confusion", "attention"}
    pictures = in_tensorboard(interrupted, "figures")
    assert pictures.keys() == {(name, 4) for name in drawn}
    width, height, png = pictures["curves", 4][0]
    assert int(width) > int(height) > 100
    assert png.startswith(b"\x89PNG")


def test_logs_that_begin_late_have_all_epochs(tiny, tmp_path, eagerly):
    run = RunDir(tmp_path / "2026-01-01" / "12-00-00.000000-digits-vit")
    run.path.mkdir(parents=True)
    rows = [{"epoch": float(epoch), "step": 2.0 * epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    for count in (2, 3):
        Loggers(tiny(TENSORBOARD, MLFLOW), run).epochs(rows[:count])
    wanted = {(name, int(row["step"])): value for row in rows for name, value in row.items() if name != "step"}
    require_same(scalars_in_tensorboard(run), wanted)
    require_same(in_mlflow(tmp_path)[1], wanted)


def test_what_a_run_was_told_is_in_the_views_that_are_for_it(tiny, tmp_path, finished, eagerly):
    """TensorBoard's HPARAMS, where a run is one trial with the metrics of all its folders; MLflow's tags."""
    for seed in (1, 2):
        run = RunDir(tmp_path / "2026-01-01" / f"12-00-00.00000{seed}-digits-vit")
        run.path.mkdir(parents=True)
        shutil.copy(finished.environment, run.environment)
        for _ in ("begun", "continued"):
            loggers = Loggers(tiny(TENSORBOARD, MLFLOW, f"seed={seed}"), run)
        loggers.epochs([{"epoch": 1.0, "step": 2.0, "loss": 0.5, "val_accuracy": seed / 4}])
    trials = sorted(in_hparams(tmp_path), key=lambda trial: trial[0]["seed"])
    assert [told["seed"] for told, _ in trials] == [1, 2]
    assert [metrics["validation", "accuracy"] for _, metrics in trials] == [0.25, 0.5]
    told, metrics = trials[0]
    assert (told["model.depth"], told["init"], told["model.head_units"]) == (1, "null", "[16]")
    assert not {"outputs", "figures", "logging.mlflow"} & told.keys()
    assert metrics["train", "loss"] == 0.5

    client = MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("vit-train")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    tags = client.search_runs([experiment.experiment_id], "tags.dataset = 'digits' and params.seed = '2'")[0].data.tags
    assert (tags["model"], tags["device"], tags["run_dir"]) == ("vit", "cpu", str(run.path))
    commit = (json.loads(run.environment.read_text())["git"] or {}).get("commit")
    assert tags.get("mlflow.source.git.commit") == commit


@pytest.mark.slow
def test_a_log_that_fails_is_a_note_and_the_run_goes_on(tiny, tmp_path, monkeypatch, capsys, eagerly):
    log, calls = MlflowClient.log_batch, iter(range(99))

    def fail(*arguments, **options):
        if next(calls) == 2:  # the first is of parameters
            raise OSError(28, "No space left on device")
        return log(*arguments, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", fail)
    run = RunDir(tmp_path.joinpath(train(tiny(TENSORBOARD, MLFLOW)).run_dir))
    note = (
        "note: logging.mlflow ended early (OSError: [Errno 28] No space left on device); the run continues without it"
    )
    assert capsys.readouterr().err.count(note) == 1
    assert "Traceback" in run.log.read_text()
    assert run.finished
    assert {step for _, step in in_mlflow(tmp_path)[1]} == {2}
    require_same(scalars_in_tensorboard(run), in_run_directory(run))


def test_a_store_that_takes_no_files_is_noted_at_the_start(tiny, tmp_path, monkeypatch, capsys):
    """Such as one on S3 without the package for it, which MLflow itself says when the first file comes."""

    def fail(*arguments):
        raise ModuleNotFoundError("No module named 'boto3'")

    monkeypatch.setattr(MlflowClient, "log_artifact", fail)
    (tmp_path / "run").mkdir()
    run = RunDir(tmp_path / "run")
    run.config.touch()
    assert Loggers(tiny(MLFLOW), run).logs == {}
    assert "logging.mlflow ended early (ModuleNotFoundError: No module named 'boto3')" in capsys.readouterr().err


def test_mlflow_is_where_its_variable_says(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere" / "mlruns").as_uri())
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    loggers = Loggers(tiny(MLFLOW), run)
    assert in_mlflow(tmp_path / "elsewhere")[0].info.run_id == run.id_in("mlflow").read_text().strip()
    assert loggers.logs.keys() == {"mlflow"}
    assert not (tmp_path / "mlruns").exists()


def test_the_runs_of_a_sweep_have_one_store(tiny, tmp_path):
    sweep = tmp_path / "2026-01-01" / "12-00-00.000000-sweep"
    for job in ("000-seed=1", "001-seed=2"):
        run = RunDir(sweep / "jobs" / job / "2026-01-01" / "12-00-01.000000-digits-vit")
        run.path.mkdir(parents=True)
        (sweep / "sweep.json").write_text("{}")
        Loggers(tiny(MLFLOW), run)
    client = MlflowClient((sweep / "mlruns").as_uri())
    assert len(client.search_runs([client.get_experiment_by_name("vit-train").experiment_id])) == 2
    assert not list(sweep.glob("jobs/*/mlruns"))


def test_a_server_that_does_not_answer_costs_seconds_and_a_note(tiny, tmp_path, monkeypatch, capsys):
    assert (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("5", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # these are looked at again for every request
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection, and says nothing
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        loggers = Loggers(tiny(MLFLOW), RunDir(tmp_path))
    assert loggers.logs == {}
    assert "note: logging.mlflow ended early" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_one_sentence_before_anything_is_there(name, tiny, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == name else find(package))
    with pytest.raises(ConfigError) as error:
        train(tiny(f"logging.{name}=true"))
    assert str(error.value) == f"logging.{name}=true: {name} is not installed; pip install 'vit-train[{name}]'"
    assert list(tmp_path.iterdir()) == []


def test_off_loads_neither():
    code = """
import sys
from pathlib import Path
from vit_train.config.compose import load_config
from vit_train.report.loggers import Loggers
from vit_train.rundir.layout import RunDir
Loggers(load_config(), RunDir(Path("nowhere"))).epochs([])
sys.exit(bool({"tensorboard", "mlflow", "wandb", "tensorflow"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
