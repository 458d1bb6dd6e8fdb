"""What the tests share: one Keras on TensorFlow per process, and small configs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.errors import Interrupted
from vit_train.rundir.layout import RunDir
from vit_train.training.interrupt import StopRequest

# The smallest run that still goes through everything: 2 epochs of 2 steps of a model of one block.
TINY = (
    "dataset=digits",
    "dataset.fraction=0.2",
    "model.image_size=8",
    "model.patch_size=4",
    "model.projection_dim=8",
    "model.depth=1",
    "model.heads=2",
    "model.head_units=[16]",
    "train.epochs=2",
    "train.batch_size=32",
    "train.steps_per_epoch=2",
    "figures=false",
)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Config]:
    """Makes tiny configs: `tiny("seed=1", ...)`."""
    return lambda *overrides: load_config([*TINY, f"outputs={tmp_path}", *overrides])


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """Sets this process up as a run on TensorFlow would, before anything imports Keras."""
    from vit_train.machine import backend

    backend.configure(load_config().compute, seed=0)


@contextmanager
def without_graphs() -> Iterator[None]:
    """Lets TensorFlow run steps without making graphs of them, which takes most of the time of a run so short."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(before)


@pytest.fixture(scope="module")
def eagerly(tensorflow: None) -> Iterator[None]:
    """Lets TensorFlow run the steps of all tests of a file without graphs."""
    with without_graphs():
        yield


@pytest.fixture(scope="session")
def finished(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A tiny run that has come to its end, made by `eagerly`; for all tests, so not to be changed."""
    from vit_train.run import train

    # By default a checkpoint is saved every five minutes, which a stopped machine may take.
    arguments = [*TINY, "train.checkpoint.every=1000", f"outputs={tmp_path_factory.mktemp('finished')}"]
    with without_graphs():
        return RunDir(Path(train(load_config(arguments)).run_dir))


@pytest.fixture
def stopped(tensorflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Config], RunDir]:
    """Trains until a SIGTERM in the second epoch, in this process, and gives the run directory."""
    from vit_train.run import train

    check, calls = StopRequest.check, iter(range(99))

    def stop(request: StopRequest) -> None:
        if next(calls) == 3:
            request.signal = 15
        check(request)

    def run(config: Config) -> RunDir:
        with monkeypatch.context() as patched:
            patched.setattr(StopRequest, "check", stop)
            with pytest.raises(Interrupted):
                train(config)
        (path,) = tmp_path.glob("*/*-digits-vit")
        return RunDir(path)

    return run


@pytest.fixture
def vit_train(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command as a user would, from an empty folder: `vit_train("--help")`."""
    root = str(Path(__file__).resolve().parents[1])

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vit_train", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def workers() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """The process of a backend, which is started when it is first asked for."""
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(root), str(root / "tests")])
    started: dict[str, subprocess.Popen[str]] = {}

    def worker(backend: str) -> subprocess.Popen[str]:
        if backend not in started or started[backend].poll() is not None:
            environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
            command = [sys.executable, str(root / "tests" / "worker.py")]
            started[backend] = subprocess.Popen(
                command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return started[backend]

    yield worker
    for process in started.values():
        process.communicate()  # the end of its stdin ends it


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, where it is installed.

    Closing it leaves the sockets of playwright's event loop to the garbage collector, so a test that uses it is marked
    filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning").
    """
    playwright, chromium = pytest.importorskip("playwright.sync_api"), shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as library:
        browser = library.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def run_on(
    workers: Callable[[str], subprocess.Popen[str]], tensorflow: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Runs code on a backend, `run_on("jax", code, *arguments)`, in another process if need be; it must end well."""

    def run(backend: str, code: str, *arguments: str) -> None:
        if backend == "tensorflow":
            monkeypatch.setattr(sys, "argv", [sys.argv[0], *arguments])
            exec(compile(code, "<code of a test>", "exec"), {"__name__": "__main__"})
            return
        pytest.importorskip(backend)
        worker = workers(backend)
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(json.dumps({"code": code, "arguments": arguments}), file=worker.stdin, flush=True)
        fault = json.loads(worker.stdout.readline() or '"the process has ended"')
        assert fault is None, fault

    return run
