"""What of the host's npm settings counts, on the host and in the root of an image."""

from elabs.runtime.images import npm


def test_npm_settings_say_only_how_packages_are_reached() -> None:
    first = "registry=https://registry.example.org/\nnodedir=/usr\nprefix = /opt\n; comment\n//registry.example.org/:_authToken=abc\n"
    second = "cafile = /etc/ca.pem\nignore-scripts=false\nscript-shell=/bin/evil\n@elabs:registry=https://other.example.org\nhttps-proxy=http://proxy.example.org:3128\n"
    assert npm.settings([first, second]) == (
        "registry=https://registry.example.org/\n//registry.example.org/:_authToken=abc\n"
        "cafile = /etc/ca.pem\n@elabs:registry=https://other.example.org\nhttps-proxy=http://proxy.example.org:3128\n"
    )


def test_in_another_root_no_file_of_the_host_is_named() -> None:
    given = (
        "registry=https://registry.example.org/\ncafile = /etc/ca.pem\n//registry.example.org/:keyfile=/root/key.pem\n//registry.example.org/:_authToken=abc\n"
    )
    assert npm.without_files(given) == "registry=https://registry.example.org/\n//registry.example.org/:_authToken=abc\n"
