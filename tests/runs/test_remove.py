import pytest

from vit_train.runs.cli import run as vit_runs


@pytest.fixture
def runs(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [made(f"18-00-0{second}.1-digits-vit", ["dataset=digits"], test_accuracy=0.5) for second in range(3)]


def listed(capsys):
    capsys.readouterr()
    assert vit_runs(["list"]) == 0
    return [line.split()[0].split("/")[-1] for line in capsys.readouterr().out.splitlines()[2:]]


def test_without_yes_nothing_happens(runs, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert vit_runs(["remove", "18-00-00", "latest"]) == 0
    output = capsys.readouterr()
    assert output.err == "nothing is done yet; --yes moves them into outputs/.bin\n"
    assert [line.split()[:2] for line in output.out.splitlines()[2:]] == [
        [f"outputs/2026-11-22/18-00-0{second}.1-digits-vit", "completed"] for second in (0, 2)
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_go_into_the_bin_and_the_bin_is_emptied(runs, tmp_path, capsys):
    content = runs[0].config.read_bytes()
    assert vit_runs(["remove", "18-00-00", "18-00-01", str(runs[0].path), "--yes"]) == 0
    assert capsys.readouterr().out.endswith("2 moved into outputs/.bin; mv brings them back\n")
    assert listed(capsys) == ["18-00-02"]
    there = tmp_path / "outputs/.bin/2026-11-22"
    assert (there / "18-00-00.1-digits-vit/config.yaml").read_bytes() == content
    assert vit_runs(["remove", "--empty-bin"]) == 0
    assert len(list(there.iterdir())) == 2
    assert "--yes deletes them for good" in capsys.readouterr().err
    assert vit_runs(["remove", "--empty-bin", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("2 deleted\n")
    assert not there.parent.exists()
    assert listed(capsys) == ["18-00-02"]
    assert vit_runs(["remove", "--empty-bin", "--yes"]) == 0  # of nothing


def test_the_last_run_of_a_day_takes_its_folder_along(runs, tmp_path):
    assert vit_runs(["remove", *(str(run.path) for run in runs), "--yes"]) == 0
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [".bin"]


def test_if_one_is_training_all_stay(runs, capsys):
    with runs[1].locked():
        assert vit_runs(["remove", "18-00-00", "18-00-01", "--yes"]) == 4
    assert "another process is training in this directory" in capsys.readouterr().err
    assert len(listed(capsys)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "remove: name runs, or --empty-bin to delete"),
        (["latest", "--empty-bin"], "remove: name runs, or --empty-bin to delete"),
        (["19-00"], "19-00: is no run, and none of the 4 in outputs has it in its name"),
        (
            ["elsewhere/run"],
            "elsewhere/run: is not in outputs, where the bin is; name the folder of its runs with --ou",
        ),
        (["outputs/2026-11-22/sweep/jobs/1/2026-11-22/run"], "2026-11-22/run: is a run of a sweep, whose table and pa"),
    ],
)
def test_a_mistake_is_one_sentence_and_removes_nothing(runs, tmp_path, capsys, arguments, message):
    for folder in ("elsewhere/run", "outputs/2026-11-22/sweep/jobs/1/2026-11-22/run"):
        (tmp_path / folder / "checkpoints").mkdir(parents=True)
    assert vit_runs(["remove", *arguments, "--yes"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "outputs/.bin").exists()
    assert all(run.path.exists() for run in runs)
