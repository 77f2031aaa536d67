"""The documentation is complete and true where a machine can tell: every setting and command is in it as the code has it, and every link leads somewhere."""

import re
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from elabs.cli import reference
from elabs.config import generate, tree
from elabs.config.document import dotted
from elabs.config.model import Config
from tests.unit.test_quality import ROOT, texts

COMMANDS = list(reference.commands())
PAGES = {file: text for file, text in texts() if file.suffix == ".md"}


@pytest.mark.parametrize("name", sorted(generate.files()))
def test_what_is_written_from_the_model_is_fresh(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == generate.files()[name], f"{name} is stale; run python -m elabs.config.generate --write"


def test_the_page_of_commands_is_fresh() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "docs/commands.md is stale; run python -m elabs.cli.reference --write"


@pytest.mark.parametrize(("where", "node"), list(tree.settings()), ids=[dotted(where) for where, _ in tree.settings()])
def test_every_setting_is_documented(where: tuple[str, ...], node: tree.Node) -> None:
    assert len(node.meaning) >= 5
    page = generate.reference()
    assert (f"### `{dotted(where)}`" if node.children else f"| `{where[-1]}` | ") in page


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"
    assert f"`{name.removeprefix('elabs ')}`" in reference.page() or name == "elabs"


def test_the_one_line_of_each_command_is_one() -> None:
    from elabs.cli.main import COMMANDS as lines

    assert {name.split()[1] for name, _ in COMMANDS if name.count(" ") == 1} == set(lines)


def _uncommented(text: str) -> str:
    """The example with every setting in use: a `#` right before a setting (never before a sentence) is taken away, and a section has what stands below it."""
    return re.sub(r"^( *)#((?: {2})*(?:[a-z_-]+:|- ))", r"\1\2", text, flags=re.MULTILINE)


def test_every_line_of_the_example_can_be_used() -> None:
    text = (ROOT / "elabs.yaml").read_text(encoding="utf-8")
    used = _uncommented(text)
    assert used.count("#") < text.count("#") - 10
    data = YAML(typ="safe", pure=True).load(used)
    config = Config.model_validate(data)
    assert config.site.tls and config.login.ldap and config.hub.snippets
    assert len(config.profiles) > 1
    assert set(data) | {"version"} == set(Config.model_fields)


EXAMPLES = [(page, block) for page, text in PAGES.items() for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize(("page", "block"), EXAMPLES, ids=[f"{page}-{number}" for number, (page, _) in enumerate(EXAMPLES)])
def test_every_example_of_settings_is_right(page: Path, block: str) -> None:
    del page  # names the case
    Config.model_validate(YAML(typ="safe", pure=True).load(block))


def _anchors(text: str) -> set[str]:
    """The names that headings have as link targets."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=map(str, PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page.parent / name).resolve() if name else (ROOT / page)
        assert file.exists(), f"{page}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{page}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {file.relative_to("docs") for file in PAGES if file.parts[0] == "docs" and file != Path("docs/README.md")}
    assert not [str(page) for page in pages if f"({page})" not in index]


def test_commands_that_pages_name_exist() -> None:
    known = {name.removeprefix("elabs ") for name, _ in COMMANDS}
    first = {name.split()[0] for name in known}
    for page, text in PAGES.items():
        for line in re.findall(r"\./elabs ((?:--(?:state|config) \S+ )?[a-z_]+(?: [a-z]+)?)", text):
            words = re.sub(r"^--\w+ \S+ ", "", line).split()
            assert words[0] in first, f"{page}: ./elabs {line}"
            if any(name.startswith(f"{words[0]} ") for name in known) and len(words) > 1:
                assert " ".join(words) in known, f"{page}: ./elabs {line}"


def test_every_test_that_the_security_page_names_is_there() -> None:
    text = PAGES[Path("docs/security.md")]
    tests = {name for file, source in texts() if file.parts[0] == "tests" for name in re.findall(r"def (test_\w+)\(", source)}
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 20
    assert not named - tests
    for file in re.findall(r"`(tests/\S+\.py)`", text):
        assert (ROOT / file).exists(), file


def test_every_attack_that_is_tested_is_on_the_security_page() -> None:
    tests = {name for file, source in texts() if file.parts[:2] == ("tests", "isolation") for name in re.findall(r"def (test_\w+)\(", source)}
    controls = {"test_an_ordinary_call_is_not"}
    assert not tests - controls - set(re.findall(r"`(test_\w+)`", PAGES[Path("docs/security.md")]))
