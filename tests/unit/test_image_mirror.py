"""The mirror an image is built from: the host's own, in whatever form apt has it."""

from pathlib import Path

import pytest

from elabs.runtime.images import mirror
from elabs.runtime.images.errors import ImageError


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text('NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\n')
    return tmp_path / "apt"


def sources(apt: Path) -> list[str]:
    return mirror.sources("trixie", apt, apt.parent / "os-release")


def test_one_line_sources(apt: Path):
    (apt / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian/ bookworm main contrib # comment\n"
        "deb http://mirror.example/debian bookworm-updates main\n"
        "deb https://security.example/debian-security bookworm-security main\n"
    )
    assert sources(apt) == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb https://security.example/debian-security trixie-security main",
    ]


def test_deb822_sources_with_folded_and_disabled_stanzas(apt: Path):
    (apt / "sources.list.d/debian.sources").write_text(
        "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n"
        "# the one in use\nTypes: deb deb-src\nURIs:\n http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main non-free-firmware\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n"
        "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert sources(apt)[0] == "deb http://mirror.example/debian trixie main"
    assert sources(apt)[2] == "deb http://mirror.example/debian-security trixie-security main"


def test_other_peoples_archives_are_never_taken_for_debian(apt: Path):
    (apt / "sources.list.d/a.list").write_text("deb https://packages.example/apt tools main\n")
    (apt / "sources.list.d/b.sources").write_text("Types: deb\nURIs: https://node.example/node\nSuites: nodistro\nComponents: main\n")
    with pytest.raises(ImageError, match="no Debian mirror"):
        sources(apt)


def test_a_list_of_mirrors_as_debians_cloud_images_have_it(apt: Path, tmp_path: Path):
    (tmp_path / "mirrors.list").write_text("https://first.example/debian\nhttps://second.example/debian\n")
    (apt / "sources.list.d/debian.sources").write_text(f"Types: deb\nURIs: mirror+file://{tmp_path}/mirrors.list\nSuites: bookworm\nComponents: main\n")
    assert sources(apt) == ["deb https://first.example/debian trixie main", "deb https://first.example/debian trixie-updates main"]


def test_a_mirror_by_alias_and_media_that_a_build_cannot_reach(apt: Path):
    (apt / "sources.list").write_text(
        "deb cdrom:[Debian 12]/ bookworm main\ndeb file:/media/debian bookworm main\ndeb http://mirror.example/debian stable main\n"
    )
    assert sources(apt)[0] == "deb http://mirror.example/debian trixie main"


def test_a_machine_without_sources(apt: Path):
    with pytest.raises(ImageError) as caught:
        sources(apt)
    assert "\n" not in str(caught.value)
