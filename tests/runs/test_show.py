from rich.console import Console

from vit_train.runs.cli import run as vit_runs


def test_in_a_terminal_a_report_is_typeset(made, monkeypatch, capsys):
    run = made("18-00-00.1-digits-vit", val_accuracy=[0.5], test_accuracy=0.5)
    monkeypatch.setattr("vit_train.runs.show.stdout", Console(force_terminal=True, no_color=True, width=80))
    assert vit_runs(["show", str(run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "vit: 50.00% test accuracy" in lines[0]
    assert not any("#" in line or "| --" in line for line in lines)


def test_in_a_file_a_report_is_markdown_and_its_files_are_named(made, tmp_path, capsys):
    run = made("18-00-00.1-digits-vit", val_accuracy=[0.5], test_accuracy=0.5)
    (run.checkpoints / "step-1").mkdir()
    (run.checkpoints / "step-1" / "latest.npz").write_bytes(b"x" * 1234)
    assert vit_runs(["show", "latest", "--outputs", str(tmp_path / "outputs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# vit: 50.00% test accuracy"
    assert lines[: len(run.report_md.read_text().splitlines())] == run.report_md.read_text().splitlines()
    files = {line.split()[1]: line.split()[3] for line in lines if line.startswith("│")}
    assert files["history.csv"] == f"{run.history.stat().st_size:,}"
    assert files["checkpoints/"] == "1,234"
    assert lines[-1] == str(run.path)


def test_a_run_without_a_report_shows_how_far_it_is(made, tmp_path, capsys):
    run = made("18-00-00.1-cifar100-vit", ["train.epochs=9"], [0.1, 0.2])
    assert vit_runs(["show", str(run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "vit on cifar100: interrupted, 2 of 9 epochs done"
    assert [line.split()[1:14:2] for line in lines if line.startswith("│ 2")] == [
        ["2", "1.5000", "0.3000", "0.6000", "1.0000", "0.2000", "0.7000"]
    ]


def test_a_damaged_run_is_a_sentence_and_exit_code_4(made, capsys):
    run = made("18-00-00.1-cifar100-vit")
    run.config.write_text("a: [")
    assert vit_runs(["show", str(run.path)]) == 4
    assert capsys.readouterr().err.startswith(f"vit-runs: {run.config}: cannot be read (")
