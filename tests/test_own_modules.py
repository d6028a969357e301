"""Modules of one's own: found in the current folder, imported once, and told plainly where they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphpose.errors import ConfigError
from graphpose.own_modules import import_modules


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which Python's path does not hold; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_modules_of_the_current_folder_are_imported_once_and_in_order(folder: Path) -> None:
    (folder / "own_a.py").write_text("told = []\n")
    (folder / "own_pack").mkdir()
    (folder / "own_pack" / "__init__.py").write_text("")
    (folder / "own_pack" / "b.py").write_text("import own_a\nown_a.told.append('b')\n")
    import_modules(["own_a", "own_pack.b"])
    import_modules(["own_pack.b"])
    assert sys.modules["own_a"].told == ["b"]


def test_a_file_hides_no_installed_package(folder: Path) -> None:
    (folder / "yaml.py").write_text("raise AssertionError\n")
    import_modules(["yaml"])
    assert sys.path[-1] == str(folder)


def test_nothing_is_nothing(folder: Path) -> None:
    import_modules([])
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_nowhere", "--import: no module 'own_nowhere' on Python's path or in the current folder, "),
        ("own_pack.nowhere", "--import: no module 'own_pack.nowhere' on Python's path"),
        ("own_needy", "--import: module 'own_needy' needs 'not_installed_at_all', which is not installed"),
        ("own_broken", "--import: module 'own_broken' cannot be imported (ValueError: two lines)"),
        ("own_quits", "--import: module 'own_quits' cannot be imported (SystemExit: 3)"),
        ("own_typo", "--import: module 'own_typo' cannot be imported (SyntaxError: "),
        ("own_broken.py", "--import: no module 'own_broken.py'"),
        ("../own", "--import: expected the name of a module, such as my_priors or my_package.priors (got '../own')"),
        ("", "--import: expected the name of a module"),
    ],
)
def test_what_fails_is_named(name: str, message: str, folder: Path) -> None:
    (folder / "own_pack").mkdir()
    (folder / "own_pack" / "__init__.py").write_text("")
    (folder / "own_needy.py").write_text("import not_installed_at_all\n")
    (folder / "own_broken.py").write_text("raise ValueError('two\\nlines')\n")
    (folder / "own_quits.py").write_text("raise SystemExit(3)\n")
    (folder / "own_typo.py").write_text("def\n")
    with pytest.raises(ConfigError) as error:
        import_modules([name], "--import")
    if name == "own_broken.py":
        assert "own_broken" in str(error.value)
    else:
        assert str(error.value).startswith(message)
