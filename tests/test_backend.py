import dataclasses
import os

import pytest

from vit_train import backend
from vit_train.compose import load_config
from vit_train.errors import ConfigError

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


def test_what_is_held_back_is_shown_if_there_is_an_error(capfd):
    def start(error=None):
        with backend._stderr_held_back():
            os.write(2, b"chatter" if error is None else b"the reason")
            if error:
                raise error

    start()
    with pytest.raises(ImportError):
        start(ImportError())
    assert capfd.readouterr().err == "the reason"
