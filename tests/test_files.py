import os

import pytest
from faults.system_calls import each

from vit_train.files import replace_file, written_beside


def test_killed_at_any_system_call_a_file_holds_the_old_text_or_the_new(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    file, found = tmp_path / "report.json", set()
    file.write_text("old")
    for _ in each(tmp_path, lambda: replace_file(file, "new text")):
        found.add(file.read_text())
        replace_file(file, "old")
        assert list(tmp_path.iterdir()) == [file]
    assert found == {"old", "new text"}


def test_a_name_that_is_not_utf_8_is_written_as_an_escape(tmp_path):
    replace_file(tmp_path / "names", os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "names").read_text() == r"caf\udce9.png"


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "x.png").write_text("good")

    def fail():
        with written_beside(tmp_path / "x.png") as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["good"]


def test_where_nothing_is_written_nothing_of_a_killed_process_takes_the_name(tmp_path):
    (tmp_path / ".part-x.png").write_text("half")
    with written_beside(tmp_path / "x.png"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_flush_takes_the_file_all_the_same(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    replace_file(tmp_path / "x", "text")
    assert (tmp_path / "x").read_text() == "text"
