"""A wrong `elabs.yaml` gives one line for each mistake: file, line, setting, what is wrong and what to do. Never a traceback, never a secret."""

import datetime
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elabs.config.load import ConfigError, check_ownership, load
from elabs.config.model import Config
from elabs.config.tree import settings as all_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `elabs.yaml`, where the person stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "elabs.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def wrong(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(write(folder, text))
    assert str(refused.value) == "\n".join(refused.value.problems)
    assert all("\n" not in problem for problem in refused.value.problems)
    return list(refused.value.problems)


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labs.example.org")])
    now = datetime.datetime(2026, 1, 1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1).not_valid_before(now)
    return made.not_valid_after(now + datetime.timedelta(days=3650)).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def private(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def test_without_a_file_or_with_an_empty_one_everything_has_its_default(folder: Path) -> None:
    assert load(None) == load(write(folder, "")) == load(write(folder, "# nothing\n")) == load(write(folder, "site:\nlabs:\n  idle:\n")) == Config()


def test_values_are_read_as_people_write_them(folder: Path) -> None:
    text = """
    site: {name: Estación Biológica, language: es, listen: "[::]:443", url: https://labs.example.org/}
    sizes:
      medium: {memory: 4G}
      huge: &huge {memory: 32G, cpu: 8}
      longer: {<<: *huge, pids: 2048}
    profiles:
      gis: {title: Análisis espacial, size: huge}
    labs: {idle: {after: 1h 30m}, network: {allow: [10.1.0.0/16, 192.168.7.9]}}
    """
    config = load(write(folder, text))
    assert (config.site.name, config.site.listen, config.site.url) == ("Estación Biológica", "[::]:443", "https://labs.example.org")
    assert (config.sizes["medium"].memory, config.sizes["medium"].cpu) == (2**32, 2.0)
    assert (config.sizes["longer"].cpu, config.sizes["longer"].pids) == (8.0, 2048)
    assert set(config.sizes) == {"small", "medium", "large", "huge", "longer"}
    assert list(config.profiles) == ["gis"]
    assert config.labs.idle.after == 5400
    assert config.labs.network.allow == ["10.1.0.0/16", "192.168.7.9/32"]


def test_a_mark_of_utf8_at_the_start_is_no_matter(folder: Path) -> None:
    assert load(write(folder, b"\xef\xbb\xbfsite: {name: x}\n")).site.name == "x"


MISTAKES = [
    ("labs:\n  idle:\n    aftr: 1h\n", "elabs.yaml:3: labs.idle.aftr: unknown key; did you mean after?"),
    ("sizes:\n  big:\n    memry: 1G\n", "elabs.yaml:3: sizes.big.memry: unknown key; did you mean memory?"),
    ("profiles:\n  a:\n    title: A\n    sise: small\n", "elabs.yaml:4: profiles.a.sise: unknown key; did you mean size?"),
    ("idle: {after: 1h}\n", "elabs.yaml:1: idle: unknown key here; did you mean labs.idle?"),
    ("labs:\n  after: 1h\n", "elabs.yaml:2: labs.after: unknown key here; did you mean labs.idle.after?"),
    ("stroage: {pool: 1G}\n", "elabs.yaml:1: stroage: unknown key; did you mean storage?"),
    ("labs:\n  qqq: 1\n", "elabs.yaml:2: labs.qqq: unknown key; known here: idle, network, start_timeout"),
    ("login:\n  ldap:\n    server: x\n    bind_template: ['{username}']\n    password: hunter2\n", "elabs.yaml:5: login.ldap.password: unknown key; did you mean search_password_file?"),
    ("version: 2\n", "elabs.yaml:1: version: 2 is not known; this elabs reads version 1"),
    ("version: '1'\n", "elabs.yaml:1: version: '1' is not known; this elabs reads version 1"),
    ("labs: {idle: {after: 60}}\n", "elabs.yaml:1: labs.idle.after: 60 is not a duration; write a number and a unit: 90s, 10m, 1h, 7d"),
    ("labs: {idle: {after: 1 hour}}\n", "elabs.yaml:1: labs.idle.after: '1 hour' is not a duration; write a number and a unit: 90s, 10m, 1h, 7d"),
    ("labs: {start_timeout: 0}\n", "elabs.yaml:1: labs.start_timeout: 0 is too small; at least 1s"),
    ("storage: {home: {size: 4X}}\n", "elabs.yaml:1: storage.home.size: '4X' is not a size; write bytes or a number and a unit: 512M, 4G, 1T"),
    ("storage: {pool: 1M}\n", "elabs.yaml:1: storage.pool: 1M is too small; at least 256M"),
    ("sizes: {a: {cpu: two}}\n", "elabs.yaml:1: sizes.a.cpu: 'two' is not a number"),
    ("sizes: {a: {cpu: true}}\n", "elabs.yaml:1: sizes.a.cpu: true is not a number"),
    ("sizes: {a: {cpu: 0}}\n", "elabs.yaml:1: sizes.a.cpu: 0 is too small; at least 0.1"),
    ("sizes: {a: {pids: 1.5}}\n", "elabs.yaml:1: sizes.a.pids: 1.5 is not a whole number"),
    ("sizes: {a: {pids: 99999999}}\n", "elabs.yaml:1: sizes.a.pids: 99999999 is too large; at most 65536"),
    ("sizes: {small: {tmp: 3G}}\n", "elabs.yaml:1: sizes.small.tmp: 3G is more than the lab's memory, 1G"),
    ("sizes: {A B: {}}\n", "elabs.yaml:1: sizes.A B: 'A B' is not a name; use a-z, 0-9 and - inside, 32 characters at most"),
    ("image: hub\n", "elabs.yaml:1: image: 'hub' is the image of hub and proxy, which labs cannot start from; write full, small or one of your own"),
    (
        "profiles:\n  a: {title: x, image: hub}\n",
        "elabs.yaml:2: profiles.a.image: 'hub' is the image of hub and proxy, which labs cannot start from; write full, small or one of your own",
    ),
    ("sizes: 5\n", "elabs.yaml:1: sizes: 5 is no section; write its settings below it, indented"),
    ("site: elabs\n", "elabs.yaml:1: site: 'elabs' is no section; write its settings below it, indented"),
    ("site: {name: 2026}\n", 'elabs.yaml:1: site.name: 2026 is not text; put it in quotes: "2026"'),
    ("site: {name: ''}\n", "elabs.yaml:1: site.name: '' is too short; at least 1 character"),
    ("site: {name: [a]}\n", "elabs.yaml:1: site.name: a list is not text"),
    ("site:\n  name:\n", "elabs.yaml:2: site.name: no value; write one, or remove the line"),
    ("site: {language: esp}\n", "elabs.yaml:1: site.language: 'esp' is not one of auto, es, en; did you mean es?"),
    ("site: {listen: 8000}\n", "elabs.yaml:1: site.listen: 8000 is not an address to listen on; write ADDRESS:PORT, like 127.0.0.1:8000, 0.0.0.0:443 or [::]:443"),
    ("site:\n  tls:\n", "elabs.yaml:2: site.tls: empty; write its settings below it, or remove the line"),
    ("site:\n  tls: {certificate: elabs.yaml}\n", "elabs.yaml:2: site.tls.key: missing: PEM file with the private key"),
    ("site: {url: labs.example.org}\n", "elabs.yaml:1: site.url: 'labs.example.org' is not the address of a site; write https://NAME, without a path"),
    ("apps:\n", "elabs.yaml:1: apps: no value; write one, or remove the line ([] is an empty list)"),
    ("apps: openrefine\n", "elabs.yaml:1: apps: 'openrefine' is not a list; write [one, two], or each item in a line of its own behind a -"),
    ("apps:\n- openrefine\n- 5\n", 'elabs.yaml:3: apps[1]: 5 is not text; put it in quotes: "5"'),
    ("login:\n  admins:\n  - ana\n  -\n", "elabs.yaml:4: login.admins[1]: no value; write one, or remove the line"),
    ("login:\n  method: ldap\n", "elabs.yaml:2: login.method: is ldap, but login.ldap is missing"),
    ("login:\n  method: oauth\n", "elabs.yaml:2: login.method: is oauth, but login.oauth is missing"),
    ("login:\n  ldap:\n    server: x\n", "elabs.yaml:2: login.ldap: needs bind_template or search_base"),
    ("login:\n  ldap:\n    server: x\n    search_base: dc=y\n    search_user: z\n", "elabs.yaml:5: login.ldap.search_user: needs search_password_file beside it"),
    ("login:\n  ldap: {server: 'ldaps://x', search_base: dc=y}\n", "elabs.yaml:2: login.ldap.server: 'ldaps://x' is not a host"),
    ("login:\n  ldap: {server: x, bind_template: ['uid={user}']}\n", "elabs.yaml:2: login.ldap.bind_template: 'uid={user}' must hold {username}"),
    ("login:\n  ldap: {server: x, search_base: dc=y, search_filter: uid=x}\n", "elabs.yaml:2: login.ldap.search_filter: 'uid=x' must hold {username}"),
    ("login:\n  ldap:\n    server: x\n    bind_template: ['{username}']\n    admin_group: it\n", "elabs.yaml:5: login.ldap.admin_group: needs group_base, or search_base, to find groups in"),
    ("login:\n  oauth:\n    class: gitub\n", "elabs.yaml:3: login.oauth.class: 'gitub' is not known; one of auth0, "),
    ("login:\n  oauth: {client_id: x}\n", "elabs.yaml:2: login.oauth.class: missing; one of auth0, "),
    ("login:\n  oauth:\n    class: github\n    client_secret: hunter2\n", "elabs.yaml:4: login.oauth.client_secret: a secret is never written here"),
    ("profiles:\n  a:\n    size: small\n", "elabs.yaml:2: profiles.a.title: missing: what the person picks"),
    ("profiles:\n  a:\n    title: A\n    size: huge\n", "elabs.yaml:4: profiles.a.size: 'huge' is not one of sizes: small, medium, large"),
    ("profiles:\n  a:\n    title: A\n    groups: [gis]\n", "elabs.yaml:4: profiles.a.groups: login.method is demo, which has no groups"),
    ("profiles: {}\n", "elabs.yaml:1: profiles: give one profile at least, or remove the line"),
    ("labs:\n  network:\n    allow:\n    - 10.0.0.0/8\n    - 10.1.2.3/24\n", "elabs.yaml:5: labs.network.allow[1]: '10.1.2.3/24' is an address inside a network; the network is 10.1.2.0/24"),
    ("labs:\n  network:\n    allow:\n    - 10.0.0.0/8\n    - 198.18.0.0/16\n", "elabs.yaml:5: labs.network.allow[1]: 198.18.0.0/16 holds the labs' own addresses"),
    ("labs: {network: {range: 10.0.0.0/24}}\n", "elabs.yaml:1: labs.network.range: 10.0.0.0/24 is smaller than the /20"),
    ("hub: {snippets: nowhere}\n", "elabs.yaml:1: hub.snippets: there is no such folder in "),
    ("hub: {database: 'postgresql://elabs:hunter2@db/elabs'}\n", "elabs.yaml:1: hub.database: a password is never written here"),
    ("a: 1\na: 2\n", "elabs.yaml:2: a: given twice; the first is in line 1"),
    ("site:\n\tname: x\n", "elabs.yaml:2: a tab; YAML is indented with spaces"),
]  # fmt: skip
"""A file with one mistake, and how the line starts that tells it."""


@pytest.mark.parametrize(("text", "line"), MISTAKES)
def test_a_mistake_is_one_line_that_says_where(folder: Path, text: str, line: str) -> None:
    (found,) = wrong(folder, text)
    assert found.startswith(line)
    assert "hunter2" not in found


def test_every_mistake_is_told_in_the_order_of_the_file(folder: Path) -> None:
    text = "hub:\n  database: x\nsite:\n  nam: x\n  listen: 5\napps:\nimage: A B\nlabs:\n  idle: {after: x}\n"
    assert [problem.split(":")[1] for problem in wrong(folder, text)] == ["2", "4", "5", "6", "7", "9"]


def test_mistakes_between_settings_are_all_told(folder: Path) -> None:
    text = "profiles:\n  a: {title: A, size: x}\n  b: {title: B, size: y}\n"
    assert [problem.split(":")[1] for problem in wrong(folder, text)] == ["2", "3"]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"site:\n  name: Colibr\xed\n", "elabs.yaml:2: not UTF-8 (byte 0xed); save the file as UTF-8"),
        ("site: {}".encode("utf-16"), "elabs.yaml:1: not UTF-8 (byte 0xff); save the file as UTF-8"),
        (b"#" * 300_000, "elabs.yaml: 292K is too large for settings; at most 256K"),
        (b"\x00\x01", "elabs.yaml:1: a control character that no YAML file may hold"),
    ],
)
def test_what_is_no_text(folder: Path, raw: bytes, line: str) -> None:
    assert wrong(folder, raw) == [line]


def test_what_is_no_file(folder: Path) -> None:
    for path, line in (
        (folder / "nowhere.yaml", "nowhere.yaml: there is no such file"),
        (folder, ".: is not a file"),
        (Path("/dev/null/x"), "/dev/null/x: there is no such file"),
    ):
        with pytest.raises(ConfigError) as refused:
            load(path)
        assert str(refused.value) == line


def test_files_are_found_from_the_folder_of_the_settings(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "tls").mkdir()
    (folder / "tls/c.pem").write_bytes(certificate(key))
    (folder / "tls/k.pem").write_bytes(private(key))
    (folder / "secret").write_text("x\n")
    text = """
    site: {tls: {certificate: tls/c.pem, key: tls/k.pem}}
    hub: {snippets: tls}
    login:
      ldap: {server: x, search_base: dc=y, search_user: z, search_password_file: secret, ca: tls/c.pem}
    """
    config = load(write(folder, text))
    assert config.site.tls and config.site.tls.key == folder / "tls/k.pem"
    assert config.login.ldap and config.login.ldap.search_password_file == folder / "secret"
    assert config.hub.snippets == folder / "tls"
    assert config.login.method == "ldap"
    assert Config.model_validate_json(config.model_dump_json()) == config
    config = load(write(folder, f"login: {{oauth: {{class: github, client_id: a, client_secret_file: {folder}/secret}}}}\n"))
    assert config.login.method == "oauth"
    assert config.login.oauth["client_secret_file"] == str(folder / "secret")


def test_files_that_are_not_what_they_should_be(folder: Path) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "c.pem").write_bytes(certificate(key))
    (folder / "k.pem").write_bytes(private(key))
    (folder / "other.pem").write_bytes(private(other))
    (folder / "locked.pem").write_bytes(private(key, b"hunter2"))
    (folder / "words").write_text("hunter2\n")

    def tls(certificate: str, key: str) -> list[str]:
        return wrong(folder, f"site:\n  tls:\n    certificate: {certificate}\n    key: {key}\n")

    assert tls("c.pem", "other.pem") == ["elabs.yaml:4: site.tls.key: the private key does not belong to the certificate"]
    assert tls("words", "k.pem") == [f"elabs.yaml:3: site.tls.certificate: {folder}/words holds no certificate in PEM form"]
    assert tls("c.pem", "words") == ["elabs.yaml:4: site.tls.key: the file holds no private key in PEM form"]
    assert tls("c.pem", "locked.pem")[0].startswith("elabs.yaml:4: site.tls.key: the private key is locked with a password")
    assert tls("nowhere.pem", "k.pem") == [f"elabs.yaml:3: site.tls.certificate: there is no such file in {folder}: nowhere.pem"]
    assert tls(".", "k.pem") == ["elabs.yaml:3: site.tls.certificate: not a file: ."]
    found = wrong(folder, "login:\n  ldap:\n    server: x\n    search_base: dc=y\n    ca: words\n")
    assert found == [f"elabs.yaml:5: login.ldap.ca: {folder}/words holds no certificate in PEM form"]


def test_a_secret_that_was_written_where_its_file_belongs_is_not_echoed(folder: Path) -> None:
    for text in (
        "login:\n  ldap: {server: x, search_base: dc=y, search_user: z, search_password_file: hunter2}\n",
        "login:\n  oauth: {class: github, client_secret_file: hunter2}\n",
        "site:\n  tls: {certificate: elabs.yaml, key: hunter2}\n",
        "site:\n  tls: {certificate: elabs.yaml, key: [hunter2]}\n",
    ):
        found = wrong(folder, text)
        assert found
        assert not any("hunter2" in line for line in found)


def test_settings_that_others_could_write_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "")
    real = os.stat_result

    def owned(uid: int, gid: int, mode: int) -> None:
        monkeypatch.setattr(Path, "stat", lambda self, **options: real((0o100000 | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0)))

    for uid, gid, mode in ((0, 0, 0o644), (0, 0, 0o664), (0, 50, 0o640)):
        owned(uid, gid, mode)
        check_ownership(path)
    for uid, gid, mode, words in ((1000, 0, 0o644, "chown root:root"), (0, 0, 0o666, "chmod go-w"), (0, 50, 0o664, "chmod go-w"), (0, 0, 0o646, "chmod go-w")):
        owned(uid, gid, mode)
        with pytest.raises(ConfigError, match=words):
            check_ownership(path)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="No such file"):
        check_ownership(folder / "nowhere")


def test_the_example_runs_as_it_is_and_says_the_defaults() -> None:
    assert load(Path(__file__).parents[2] / "elabs.yaml") == Config()


_KEYS = sorted({str(part) for where, _ in all_settings() for part in where})
_YAML = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["1h", "4G", "x", "", "10.0.0.0/8", "{username}"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _YAML, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_file_says_it_is_read_or_refused_in_lines(folder: Path, data: dict[str, object]) -> None:
    import json

    try:
        assert isinstance(load(write(folder, json.dumps(data))), Config)
    except ConfigError as refused:
        assert refused.problems
        assert all(problem.startswith("elabs.yaml") and len(problem.splitlines()) == 1 for problem in refused.problems)
