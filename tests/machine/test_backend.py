import argparse
import contextlib
import dataclasses
import os

import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError, OutOfMemory
from vit_train.machine import backend, streams
from vit_train.runs import cache

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_device_has_a_name():
    import tensorflow as tf

    assert (backend.device_name() == "cpu") == (not tf.config.get_visible_devices("GPU"))


def test_one_process_has_one_backend():
    pytest.importorskip("jax")
    compute = dataclasses.replace(load_config().compute, backend="jax", devices="cpu")
    try:
        with pytest.raises(ConfigError, match=r"^compute.backend=jax: this process already runs Keras on tensorflow"):
            backend.configure(compute, seed=0)
    finally:
        os.environ["KERAS_BACKEND"] = "tensorflow"


def test_the_precision_is_that_of_the_config():
    import keras

    compute = load_config().compute
    backend.configure(dataclasses.replace(compute, precision="bfloat16"), seed=0)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    backend.configure(compute, seed=0)
    assert keras.config.dtype_policy().name == "float32"


def test_a_gpu_that_is_asked_for_must_be_there():
    if backend.device_name() != "cpu":
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError) as error:
        backend.configure(dataclasses.replace(load_config().compute, devices="gpu"), seed=0)
    assert str(error.value) == (
        "compute.devices=gpu: TensorFlow finds no GPU; see whether nvidia-smi lists one, then pip install "
        "'vit-train[gpu]', or take what there is with compute.devices=auto"
    )


class OutOfMemoryError(Exception):
    """Named as PyTorch's."""


@pytest.mark.parametrize(
    "error", [MemoryError(), OutOfMemoryError("CUDA"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")]
)
def test_every_way_to_run_out_of_memory_is_explained(error):
    sentence = r"^memory on .* ran out; lower train.batch_size=256, model.image_size=72, "
    with pytest.raises(OutOfMemory, match=sentence), backend.memory_errors_explained(load_config()):
        raise error


def test_other_errors_are_left_alone():
    with pytest.raises(ValueError, match="other"), backend.memory_errors_explained(load_config()):
        raise ValueError("other")


def test_what_is_held_back_is_shown_if_there_is_an_error(capfd):
    def start(error=None):
        with streams.stderr_held_back():
            os.write(2, b"chatter" if error is None else b"the reason")
            if error:
                raise error

    start()
    with pytest.raises(ImportError):
        start(ImportError())
    assert capfd.readouterr().err == "the reason"


def test_compiled_programs_are_kept_if_there_is_a_place_for_them(tmp_path, monkeypatch, capsys):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    backend._keep_compiled_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backend._keep_compiled_programs()
    (kept,) = (tmp_path / "vit-train").iterdir()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(kept)
    for number, name in enumerate(["old", "new"]):
        (kept / name).write_bytes(b"12")
        os.utime(kept / name, (number, number))
    monkeypatch.setattr(backend, "PROGRAMS_LIMIT", 3)
    backend._keep_compiled_programs()
    assert [path.name for path in kept.iterdir()] == ["new"]
    cache.run(argparse.Namespace(clear=False))
    assert "0.0 of at most 2,147 MB of 1 programs compiled by JAX" in capsys.readouterr().out
    cache.run(argparse.Namespace(clear=True))
    assert list(kept.iterdir()) == []


def test_what_keras_json_sets_does_not_change_a_run(capsys):
    import keras

    changed = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first", "max_epochs": 1}
    before = {name: getattr(keras.config, name)() for name in changed}
    for name, value in changed.items():
        getattr(keras.config, f"set_{name}")(value)
    backend.configure(load_config().compute, seed=0)
    assert {name: getattr(keras.config, name)() for name in changed} == before
    assert before == {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "max_epochs": None}
    said = capsys.readouterr().err
    for name, value in changed.items():
        assert f"note: keras.json or the environment sets Keras' {name} to {value}; a run has" in said
    backend.configure(load_config().compute, seed=0)
    assert capsys.readouterr().err == ""


def test_tensorflows_advice_on_tracing_is_kept_from_the_user(caplog):
    import tensorflow as tf

    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        logger.warning("5 out of the last 5 calls to %s triggered tf.function retracing.", "f")
        logger.warning("something else")
    finally:
        logger.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"something else"}


@pytest.mark.parametrize("absent", [(), ("triton",)])
def test_the_compiler_of_pytorch_is_loaded_before_it_and_may_be_absent(monkeypatch, absent):
    """After TensorFlow, where PyTorch itself would load it, it ends the process with SIGSEGV."""
    import tensorflow as tf

    loaded, compute = [], dataclasses.replace(load_config().compute, backend="torch")

    def load(name):
        if name in absent:
            raise ModuleNotFoundError(name)
        loaded.append(name)

    def starting_tensorflow():
        load("tensorflow")
        return contextlib.nullcontext()

    monkeypatch.setattr(backend.importlib, "import_module", load)
    monkeypatch.setattr(backend, "stderr_held_back", starting_tensorflow)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *devices: None)
    backend._take_devices(compute)
    assert loaded == [name for name in ("triton", "torch", "tensorflow") if name not in absent]


@pytest.mark.usefixtures("tensorflow")
def test_no_sum_is_given_to_what_two_threads_may_not_run_at_once():
    import tensorflow as tf

    from vit_train.data.augmentation.apply import erase

    compiled = erase.experimental_get_compiler_ir(tf.zeros((32, 32, 32, 3)), tf.zeros((32, 4)))(stage="optimized_hlo")
    assert "reduce(" in compiled
    assert "ynn" not in compiled
