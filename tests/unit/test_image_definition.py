"""What images are made of: data that is complete, and a key that changes with all of it."""

import re
import shutil
from pathlib import Path

import pytest

from elabs.lab import catalogue
from elabs.runtime.images import definition
from elabs.runtime.images.errors import ImageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(definition.DEFINITIONS, tmp_path / "images")
    (tmp_path / "requirements").mkdir()
    for path in definition.REQUIREMENTS.glob("lab-*.txt"):
        shutil.copy(path, tmp_path / "requirements")
    monkeypatch.setattr(definition, "DEFINITIONS", tmp_path / "images")
    monkeypatch.setattr(definition, "OVERLAY", tmp_path / "images/files")
    monkeypatch.setattr(definition, "REQUIREMENTS", tmp_path / "requirements")
    return tmp_path


def test_the_two_images_are_defined():
    assert definition.names() == ["full", "small"]


@pytest.mark.parametrize("name", ["full", "small"])
def test_python_packages_are_all_pinned_and_nothing_compiles_a_grammar_at_start(name: str):
    lines = [line for line in definition.load(name).requirements.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    packages = [line.split("==")[0] for line in lines]
    assert len(packages) == len(set(packages))
    assert {"jupyterhub", "jupyterlab", "jupyter-server-proxy", "ipykernel", "jupyterlab-language-pack-es-es"} <= set(packages)
    assert not {"rfc3987-syntax", "lark"} & set(packages)


def test_full_has_all_that_small_has_in_the_same_versions():
    full, small = (set(definition.load(name).requirements.read_text().splitlines()) for name in ("full", "small"))
    assert {line for line in small if "==" in line} <= full
    assert set(definition.load("small").debian) <= set(definition.load("full").debian)


def test_apps_of_an_image_are_in_the_catalogue():
    for name in definition.names():
        for app in definition.load(name).apps:
            assert catalogue.load(app)["title"]


@pytest.mark.parametrize("changed", ["images/small.toml", "requirements/lab-small.txt", "images/files/etc/profile.d/elabs.sh"])
def test_the_key_changes_with_everything_the_image_is_made_from(project: Path, changed: str):
    before = definition.load("small").key
    with (project / changed).open("a") as file:
        file.write("# one more line\n")
    assert definition.load("small").key != before


def test_the_key_of_one_image_does_not_depend_on_the_other(project: Path):
    before = definition.load("small").key
    with (project / "images/full.toml").open("a") as file:
        file.write("# one more line\n")
    assert definition.load("small").key == before


def test_the_key_changes_with_a_file_that_is_added(project: Path):
    before = definition.load("small").key
    (project / "images/files/etc/new").write_text("")
    assert definition.load("small").key != before


@pytest.mark.parametrize("name", ["nope", "../small", "", "small.toml"])
def test_an_unknown_image_is_one_line(name: str):
    with pytest.raises(ImageError, match="full, small"):
        definition.load(name)
