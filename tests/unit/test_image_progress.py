"""Progress read from what the tools print."""

import pytest

from elabs.runtime.images.progress import Apt, Mmdebstrap, Pip, rising, within


def test_apt_downloads_are_a_third_and_installing_the_rest():
    apt = Apt()
    assert apt.read("dlstatus:12:50.0:Retrieving file 3 of 9") == (pytest.approx(1 / 6), "downloading Debian packages")
    assert apt.read("pmstatus:git:50.0:Unpacking git (amd64)") == (pytest.approx(2 / 3), "installing git")
    assert apt.read("pmstatus:libc6:amd64:100.0:Installed libc6 (amd64)") == (pytest.approx(1.0), "installing libc6")
    assert apt.read("Reading package lists...") is None
    assert apt.read("media-change:x:y:z") is None


def test_mmdebstrap_announces_its_stages_in_a_rising_order():
    lines = [
        "running apt-get update...",
        "downloading packages with apt...",
        "extracting archives...",
        "installing essential packages...",
        "cleaning package lists and apt cache...",
    ]
    found = [Mmdebstrap().read(f"I: {line}") for line in lines]
    assert all(found)
    assert found == sorted(found, key=lambda step: step[0] if step else 0)
    assert Mmdebstrap().read("I: success in 23.0 seconds") is None


def test_pip_counts_what_it_fetches_and_then_what_is_on_disk():
    installed = 0
    pip = Pip(4, lambda: installed)
    assert pip.poll() is None
    assert pip.read("Collecting numpy==2.5.5 (from -r requirements.txt (line 3))") == (0.125, "downloading numpy")
    for name in "abc":
        pip.read(f"Collecting {name}")
    installed = 2
    assert pip.poll() == (0.75, "installing Python packages (2 of 4)")
    assert pip.read("Installing collected packages: a, b") is None


def test_what_is_reported_never_falls_and_is_not_repeated():
    heard: list[tuple[float, str]] = []
    report = rising(lambda fraction, text: heard.append((fraction, text)))
    for fraction, text in [(0.1, "a"), (0.5, "b"), (0.3, "b"), (0.3, "c"), (0.6, "c")]:
        report(fraction, text)
    assert heard == [(0.1, "a"), (0.5, "b"), (0.5, "c"), (0.6, "c")]


def test_a_part_stays_within_its_bounds():
    heard: list[float] = []
    part = within(lambda fraction, text: heard.append(fraction), 0.25, 0.75)
    for fraction in (-1.0, 0.0, 0.5, 1.0, 7.0):
        part(fraction, "")
    assert heard == [0.25, 0.25, 0.5, 0.75, 0.75]
