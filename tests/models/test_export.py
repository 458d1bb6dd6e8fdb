import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from vit_train.run import train

pytestmark = pytest.mark.usefixtures("tensorflow")


@given(st_numpy.arrays(np.int8, st_numpy.array_shapes(min_side=0, max_side=9), elements=st.integers(-1, 1)))
def test_what_is_packed_is_unpacked(codes):
    from vit_train.models.export import pack, unpack

    packed = pack(codes)
    assert packed.nbytes == -(-codes.size // 5)
    np.testing.assert_array_equal(unpack(packed, codes.shape), codes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from vit_train.config.compose import load_config

    config = load_config(
        "dataset=digits dataset.fraction=0.2 model=matmul_free model.image_size=12 model.patch_size=4 model.depth=2 "
        "model.projection_dim=16 model.head_units=[64] train.epochs=1 train.batch_size=32 train.steps_per_epoch=3 "
        f"model.export_ternary=true outputs={tmp_path_factory.mktemp('export')}".split()
    )
    return config, train(config)


@pytest.mark.slow
def test_a_run_exports_what_predicts_as_the_run_does(run, tmp_path):
    """Bit for bit, from a file in which a ternary weight takes 1.6 bits."""
    from vit_train import load_model
    from vit_train.models.build import build_model
    from vit_train.models.export import read_ternary
    from vit_train.models.ternary import TernaryDense

    config, report = run
    network = build_model(config.model, 10)
    file = Path(report.run_dir) / "ternary.npz"
    read_ternary(network, file)
    trained = load_model(f"{report.run_dir}/model.keras").get_layer("matmul_free")
    images = np.random.default_rng(0).uniform(0, 255, (9, 12, 12, 3)).astype(np.float32)
    np.testing.assert_array_equal(network.predict(images, verbose=0), trained.predict(images, verbose=0))
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, TernaryDense)]
    assert len(layers) == 1 + 2 * 4 + 1
    with np.load(file) as arrays:
        packed = sum(arrays[name].nbytes for name in arrays.files if name.endswith("/codes"))
    assert packed == sum(-(-np.prod(layer.kernel.shape) // 5) for layer in layers)
    with pytest.raises(ValueError, match=r"was read back from ternary\.npz and cannot be saved"):
        network.save(tmp_path / "frozen.keras")


@pytest.mark.slow
def test_the_report_states_the_size(run):
    _, report = run
    size = (Path(report.run_dir) / "ternary.npz").stat().st_size
    values = json.loads((Path(report.run_dir) / "report.json").read_text())
    assert values["exports"] == {"ternary.npz": size}
    assert f"- Exported weights: ternary.npz, {size:,} bytes\n" in (Path(report.run_dir) / "report.md").read_text()
