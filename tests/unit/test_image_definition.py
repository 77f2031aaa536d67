"""What images are made of: data that is complete, and a key that changes with all of it."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from elabs.config.section import HUB_IMAGE
from elabs.lab import catalogue
from elabs.runtime.images import definition, steps
from elabs.runtime.images.errors import ImageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(definition.DEFINITIONS, tmp_path / "images")
    shutil.copytree(definition.REQUIREMENTS, tmp_path / "requirements")
    monkeypatch.setattr(definition, "DEFINITIONS", tmp_path / "images")
    monkeypatch.setattr(definition, "REQUIREMENTS", tmp_path / "requirements")
    return tmp_path


def pins(name: str) -> list[str]:
    texts = [path.read_text() for path in definition.load(name).requirements]
    return [line for text in texts for line in text.splitlines() if line and not line.startswith("#")]


def test_the_images_are_defined():
    assert definition.names() == ["full", "hub", "small"]


def test_labs_start_from_any_image_but_the_one_that_settings_refuse():
    assert [name for name in definition.names() if not definition.load(name).lab] == [HUB_IMAGE]


def test_the_keys_of_labs_images_are_what_they_were_before_there_was_a_hubs(project: Path):
    """A key that changes makes everybody's machine build for minutes; this one is written out by hand."""
    parts = [("definition", "images/small.toml"), ("requirements", "requirements/lab-small.txt")]
    files = sorted(path for path in (project / "images/files").rglob("*") if path.is_file())
    parts += [(str(path.relative_to(project / "images/files")), str(path.relative_to(project))) for path in files]
    whole = f"builder {definition.BUILDER_VERSION}\n".encode()
    for label, path in parts:
        content = (project / path).read_bytes()
        whole += f"{label} {(project / path).stat().st_mode & 0o111:o} {len(content)}\n".encode() + content
    assert definition.load("small").key == hashlib.sha256(whole).hexdigest()[:12]


def test_the_hubs_image_has_what_elabs_runs_on_and_the_proxys_lock_file():
    hub = definition.load("hub")
    assert [path.name for path in hub.requirements] == ["elabs.txt", "kubernetes.txt"]
    assert len(pins("hub")) == len({line.split("==")[0] for line in pins("hub")})
    assert hub.node
    assert (hub.node / "package-lock.json").is_file()


@pytest.mark.parametrize(("name", "has", "lacks"), [("small", "languages", "node"), ("hub", "node", "languages")])
def test_an_image_is_made_in_the_steps_that_its_definition_asks_for(name: str, has: str, lacks: str):
    chosen = [step.name for step in steps.STEPS if step.wanted(definition.load(name))]
    assert has in chosen
    assert lacks not in chosen
    assert {"base", "debian", "python", "configuration", "bytecode", "cleaning"} <= set(chosen)


@pytest.mark.parametrize("name", ["full", "small"])
def test_python_packages_are_all_pinned_and_nothing_compiles_a_grammar_at_start(name: str):
    lines = pins(name)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    packages = [line.split("==")[0] for line in lines]
    assert len(packages) == len(set(packages))
    assert {"jupyterhub", "jupyterlab", "jupyter-server-proxy", "ipykernel", "jupyterlab-language-pack-es-es"} <= set(packages)
    assert not {"rfc3987-syntax", "lark"} & set(packages)


def test_full_has_all_that_small_has_in_the_same_versions():
    full, small = (set(pins(name)) for name in ("full", "small"))
    assert small <= full
    assert set(definition.load("small").debian) <= set(definition.load("full").debian)


def test_apps_of_an_image_are_in_the_catalogue():
    for name in definition.names():
        for app in definition.load(name).apps:
            assert catalogue.load(app)["title"]


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("small", "images/small.toml"),
        ("small", "requirements/lab-small.txt"),
        ("small", "images/files/etc/profile.d/elabs.sh"),
        ("hub", "images/hub.toml"),
        ("hub", "requirements/elabs.txt"),
        ("hub", "requirements/kubernetes.txt"),
        ("hub", "requirements/proxy/package-lock.json"),
        ("hub", "images/hub/usr/local/lib/python3.13/dist-packages/elabs.pth"),
    ],
)
def test_the_key_changes_with_everything_the_image_is_made_from(project: Path, name: str, changed: str):
    before = definition.load(name).key
    with (project / changed).open("a") as file:
        file.write("# one more line\n")
    assert definition.load(name).key != before


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
    with pytest.raises(ImageError, match="full, hub, small"):
        definition.load(name)
