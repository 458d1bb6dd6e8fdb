import pytest

from vit_train.sweep.devices import Share, shares, visible_gpus


def test_one_at_a_time_has_the_whole_machine():
    assert shares(1, [0, 1], ["0", "1"]) == [Share("", {})]


@pytest.mark.parametrize(
    ("jobs", "cores", "expected"),
    [
        (2, [0, 1], ["0", "1"]),
        (2, [0, 1, 2, 5, 7], ["0,1", "2,5"]),
        (4, [3, 4], ["3", "4", "3", "4"]),
        (2, [], ["", ""]),
    ],
)
def test_cores_are_sharded_evenly(jobs, cores, expected):
    assert [share.cores for share in shares(jobs, cores, [])] == expected


def test_each_job_has_a_gpu_of_its_own_while_there_are_enough():
    found = [share.environment for share in shares(2, [0], ["GPU-a", "GPU-b"])]
    assert found == [{"CUDA_VISIBLE_DEVICES": "GPU-a"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}]
    crowded = [share.environment for share in shares(3, [0], ["GPU-a", "GPU-b"])]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in crowded] == ["GPU-a", "GPU-b", "GPU-a"]
    assert {each["TF_FORCE_GPU_ALLOW_GROWTH"] for each in crowded} == {"true"}


@pytest.mark.parametrize(("value", "gpus"), [("", []), ("-1", []), ("1,0", ["1", "0"])])
def test_gpus_that_are_already_chosen_are_those_sharded(monkeypatch, value, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == gpus


def test_without_a_driver_there_are_none(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == []
