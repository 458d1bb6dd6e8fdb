import pytest

from vit_train.sweep import results
from vit_train.sweep.results import Progress


def test_progress_is_that_of_the_history(planned, ran):
    sweep = planned("seed=1,2")
    (first, second), run = sweep.jobs, sweep.run
    assert results.progress(run(first), 5) == Progress(0, None, None)
    ran(sweep, first, [0.2, 0.6, 0.4])
    assert results.progress(run(first), 5) == Progress(3, 0.6, 120.0)
    ran(sweep, second, [])
    assert results.progress(run(second), 5) == Progress(0, None, None)


def test_only_a_report_is_a_result(planned, ran):
    sweep = planned("seed=1,2")
    first, second = sweep.jobs
    assert results.result(sweep.run(first)) is None
    ran(sweep, first, [0.5])
    assert results.result(sweep.run(first)) is None
    run = ran(sweep, second, [0.5, 0.75], test=0.625)
    assert results.result(sweep.run(second)) == {
        "validation_accuracy": 0.75,
        "test_accuracy": 0.625,
        "parameters": 2025,
        "best_epoch": 1,
        "seconds": 61.0,
        "run": str(run.path),
    }


@pytest.mark.parametrize(
    ("code", "log", "reason"),
    [
        (3, "epoch 1\nvit-train: the data are gone\n\n", "the data are gone"),
        (-9, "epoch 1\n", "killed by SIGKILL, as systems do when memory runs out"),
        (-6, "std::bad_alloc\n", "killed by SIGABRT before its report; the last it said was: std::bad_alloc"),
        (-6, "std::bad_alloc\nFatal Python error: Aborted\n\nExtension modules: numpy (total: 1)\n",
         "killed by SIGABRT before its report; the last it said was: std::bad_alloc"),
        (-9, "vit-train: diverged\n$ vit-train resume=x\n", "killed by SIGKILL, as systems do when memory runs out"),
        (7, "$ vit-train seed=1\n", "ended with exit code 7 before its report; the last it said was: nothing"),
        (1, "x" * 9999 + "\nKeyError", "ended with exit code 1 before its report; the last it said was: KeyError"),
        (1, b"\xff\n", "ended with exit code 1 before its report; the last it said was: \ufffd"),
    ],
)  # fmt: skip
def test_the_reason_is_the_last_error(tmp_path, code, log, reason):
    path = tmp_path / "log.txt"
    path.write_bytes(log if isinstance(log, bytes) else log.encode())
    assert results.failure(code, path) == reason
