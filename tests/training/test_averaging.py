import averaging
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_averages_follow_the_formula(eagerly):
    averaging.follow_the_formula()


RUN = ("train.ema_decay=0.9", "optimizer.learning_rate=1e-2", "train.checkpoint.monitor=val_loss")


@pytest.mark.slow
def test_a_stop_in_validation_keeps_the_weights_and_not_their_average(eagerly, tiny):
    from vit_train.run import train
    from vit_train.rundir import resume

    averaging.survive_a_stop(tiny(*RUN), train, resume.load)


ON_JAX = """
import sys
from conftest import TINY
from vit_train.config.compose import load_config
from vit_train.machine import backend
config = load_config([*TINY, *sys.argv[2:], "compute.backend=jax", "compute.devices=cpu", f"outputs={sys.argv[1]}"])
backend.configure(config.compute, config.seed)
import averaging
from vit_train.run import train
averaging.follow_the_formula()
averaging.stopped_in_validation(train, config)
"""


@pytest.mark.slow
def test_jax_does_the_same(run_on, tmp_path):
    run_on("jax", ON_JAX, str(tmp_path), *RUN)
