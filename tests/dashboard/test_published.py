"""A file for the gate is written when what is in it is new, and not otherwise."""

import pytest

from dashboard.published import Published


def test_it_is_written_when_it_is_new_or_gone(tmp_path):
    written = []

    def save(path, value):
        written.append(value)
        path.write_text(value)

    file = Published(tmp_path / "file", save)
    for value in ("a", "a", "b", "b"):
        file.publish(lambda value=value: value)
    assert written == ["a", "b"]
    file.path.unlink()
    file.publish(lambda: "b")
    assert written == ["a", "b", "b"]
    assert file.value == "b"


def test_what_could_not_be_written_is_written_the_next_time(tmp_path):
    folder = tmp_path / "folder"
    file = Published(folder / "file", lambda path, value: path.write_text(value) and None)
    with pytest.raises(FileNotFoundError):
        file.publish(lambda: "a")
    assert file.value is None
    folder.mkdir()
    file.publish(lambda: "a")
    assert file.path.read_text() == "a"


def test_what_cannot_be_known_leaves_the_file_as_it_was(tmp_path):
    file = Published(tmp_path / "file", lambda path, value: path.write_text(value) and None)
    file.publish(lambda: "a")
    with pytest.raises(ZeroDivisionError):
        file.publish(lambda: str(1 // 0))
    assert (file.path.read_text(), file.value) == ("a", "a")
