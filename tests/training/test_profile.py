"""compute.profile_steps: what is in a trace, and a run that leaves one."""

import csv
from pathlib import Path

import pytest

from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir


def trace(path, *events):
    """A trace of one thread, of events (name, begin, end) in milliseconds."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    plane = space.planes.add(name="/host:CPU")
    line = plane.lines.add()
    for number, (name, begin, end) in enumerate(events):
        plane.event_metadata[number].name = name
        line.events.add(metadata_id=number, offset_ps=round(begin * 1e9), duration_ps=round((end - begin) * 1e9))
    path.write_bytes(space.SerializeToString())
    return path


def test_each_operation_has_its_part_and_its_own_time(tensorflow, tmp_path):
    from vit_train.training.profile import operations

    path = trace(
        tmp_path / "x.pb",
        ("ExecutorState::Process", 0, 100),
        ("StatefulPartitionedCall/model/block_0/MatMul:_MklMatMul", 1, 11),
        ("gradient_tape/model/block_0/MatMul_1:_MklMatMul", 12, 42),
        ("gradient_tape/model/while:While", 43, 53),
        ("add_multiply_fusion.7", 44, 50),
        ("StatefulPartitionedCall/cond/then/_0/cond/muon/MatMul_3:MatMul", 60, 64),
        ("StatefulPartitionedCall/model/block_1/MatMul:_MklMatMul", 70, 80),
        ("KernelAndDeviceFunc::Run", 81, 90),
        ("multi_step_on_iterator", 91, 99),
    )
    assert operations(path, steps=2) == [
        (("backward", "MatMul"), 0.5, 15.0),
        (("forward", "MatMul"), 1.0, 10.0),
        (("compiled", "add_multiply_fusion"), 0.5, 3.0),
        (("backward", "While"), 0.5, 2.0),  # what it called is not its own
        (("optimizer", "MatMul"), 0.5, 2.0),
    ]


@pytest.mark.slow
def test_a_run_leaves_table_and_trace(tensorflow, tiny, capsys):
    from vit_train.run import train

    report = train(tiny("compute.profile_steps=2", "train.batch_size=8", "train.steps_per_epoch=12"))
    printed = capsys.readouterr().err
    assert "a traced step takes " in printed
    with (RunDir(Path(report.run_dir)).profile / "operations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == {"forward", "backward", "optimizer", "compiled"}
    # Of one block: projections, MLP, embedding and head, and three gradients less than twice as many.
    (products,) = (row for row in rows if (row["part"], row["operation"]) == ("backward", "MatMul"))
    assert float(products["calls_per_step"]) >= 10


def test_too_few_steps_are_said(tensorflow, tmp_path, capsys):
    from vit_train.training.profile import Profile

    profile = Profile(tmp_path, steps=2, batch_size=32)
    profile.set_params({"steps": 2})
    profile.on_train_begin()
    for batch in range(2):
        profile.on_train_batch_end(batch)
    assert not list(tmp_path.iterdir())
    assert "note: nothing is profiled, since 2 steps to the end of the epoch are fewer than" in capsys.readouterr().err


def test_on_torch_it_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"compute\.profile_steps=2: only TensorFlow and JAX are traced here"):
        tiny("compute.profile_steps=2", "compute.backend=torch")
