"""Fragments become a section of the changelog."""

from datetime import date

import pytest

from docs._changelog import gather

DAY = date(2026, 11, 21)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\nWhat a user can notice.\n")
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (folder / "README.md").write_text("# Not a fragment\n")
    (folder / "b.added.md").write_text("Second,\non two lines.\n")
    (folder / "a.added.md").write_text("First.\n")
    (folder / "c.fixed.md").write_text("Third.\n")
    return tmp_path


def test_fragments_move_under_the_version_by_kind(root):
    assert gather(root, "0.1.0", DAY) == 3
    assert (root / "CHANGELOG.md").read_text() == (
        "# Changes\n\nWhat a user can notice.\n\n## 0.1.0 (2026-11-21)\n\n"
        "### Added\n\n- First.\n- Second,\n  on two lines.\n\n### Fixed\n\n- Third.\n"
    )
    assert [path.name for path in (root / "changelog.d").iterdir()] == ["README.md"]


def test_a_later_version_stands_before_the_earlier_ones(root):
    gather(root, "0.1.0", DAY)
    (root / "changelog.d" / "d.security.md").write_text("Fourth.\n")
    gather(root, "0.2.0", DAY)
    text = (root / "CHANGELOG.md").read_text()
    assert (
        text.index("# Changes") < text.index("## 0.2.0") < text.index("Fourth.") < text.index("## 0.1.0") < text.index("First.")
    )


@pytest.mark.parametrize("version", ["", "1", "v1.0.0", "1.0.0 "])
def test_what_is_no_version_changes_nothing(root, version):
    before = (root / "CHANGELOG.md").read_text()
    with pytest.raises(ValueError, match="not a version"):
        gather(root, version, DAY)
    assert (root / "CHANGELOG.md").read_text() == before


def test_a_version_is_made_once_and_not_of_nothing(root):
    gather(root, "0.1.0", DAY)
    with pytest.raises(ValueError, match="no fragment"):
        gather(root, "0.2.0", DAY)
    (root / "changelog.d" / "d.fixed.md").write_text("Fourth.\n")
    with pytest.raises(ValueError, match="already"):
        gather(root, "0.1.0", DAY)


def test_a_fragment_of_no_kind_is_named(root):
    (root / "changelog.d" / "x.improved.md").write_text("Fifth.\n")
    with pytest.raises(ValueError, match=r"x\.improved\.md"):
        gather(root, "0.1.0", DAY)
