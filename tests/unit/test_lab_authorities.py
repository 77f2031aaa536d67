"""A lab believes the institute's own authorities beside the well-known ones."""

from pathlib import Path

import pytest

from elabs.lab import authorities


def test_one_file_of_both_for_every_program(tmp_path: Path) -> None:
    (tmp_path / "well-known").write_text("WELL\nKNOWN\n")
    (tmp_path / "own.pem").write_text("OWN\n")
    environment = {"ELABS_AUTHORITIES": str(tmp_path / "own.pem"), "XDG_RUNTIME_DIR": str(tmp_path), "GIT_SSL_CAINFO": "/mine"}
    authorities.believe(environment, tmp_path / "well-known")
    whole = str(tmp_path / "authorities.pem")
    assert Path(whole).read_text() == "WELL\nKNOWN\nOWN\n"
    assert {name: environment[name] for name in authorities.WHOLE} == dict.fromkeys(authorities.WHOLE, whole) | {"GIT_SSL_CAINFO": "/mine"}
    assert environment[authorities.BESIDE] == str(tmp_path / "own.pem")


def test_an_image_without_well_known_ones(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("OWN\n")
    authorities.believe({"ELABS_AUTHORITIES": str(tmp_path / "own.pem"), "XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path / "nowhere")
    assert (tmp_path / "authorities.pem").read_text().strip() == "OWN"


@pytest.mark.parametrize("environment", [{}, {"ELABS_AUTHORITIES": "/nowhere", "XDG_RUNTIME_DIR": "/nowhere"}, {"ELABS_AUTHORITIES": "/nowhere"}])
def test_without_any_nothing_changes(environment: dict[str, str], tmp_path: Path) -> None:
    before = dict(environment)
    authorities.believe(environment, tmp_path / "well-known")
    assert environment == before
