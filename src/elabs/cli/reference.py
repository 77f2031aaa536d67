"""The page of commands, written from what the commands say of themselves: `python -m elabs.cli.reference --write` writes docs/commands.md; a test compares."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from elabs.cli.main import elabs
from elabs.cli.options import ROOT

PAGE = ROOT / "docs" / "commands.md"

_INTRODUCTION = """# Commands

<!-- Written by `python -m elabs.cli.reference --write` from src/elabs/cli/: change that, not this. -->

`./elabs COMMAND`, from the folder of the project; `./elabs COMMAND --help` says what is below. `--state` and `--config` may stand before or after the command.

| Exit status | Means |
|---|---|
| 0 | done, or yes |
| 1 | the answer is no (`doctor`, `status`, a test that failed) |
| 2 | something is to be mended first; one line on standard error says what, where and how |

Standard output holds results alone; what a command tells on its way goes to standard error. `--json` is for programs.
"""


def page() -> str:
    """The whole page, in Markdown."""
    with click.Context(elabs, info_name="./elabs") as context:
        return _INTRODUCTION + "".join(_command(elabs, context, "Every command"))


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before theirs."""
    with click.Context(elabs, info_name="elabs") as context:
        yield from _below(elabs, context)


def _below(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    yield context.command_path, command
    for name, child in _children(command, context):
        with click.Context(child, info_name=name, parent=context) as below:
            yield from _below(child, below)


def _children(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield name, child


def _options(command: click.Command, context: click.Context) -> list[click.Option]:
    return [option for option in command.get_params(context) if isinstance(option, click.Option) and not option.hidden and "--help" not in option.opts]


def _usage(command: click.Command, context: click.Context) -> str:
    pieces = command.collect_usage_pieces(context)
    return " ".join([context.command_path, *(pieces if _options(command, context) else pieces[1:])])


def _command(command: click.Command, context: click.Context, title: str) -> Iterator[str]:
    yield f"\n## {title}\n" if context.parent is None or context.parent.parent is None else f"\n### {title}\n"
    if context.parent is not None:
        yield f"\n{inspect.cleandoc(command.help or '')}\n\n```\n{_usage(command, context)}\n```\n"
    options = _options(command, context)
    if options:
        yield "\n| Option | |\n|---|---|\n"
        for option in options:
            names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
            value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
            default = f" Default: {option.default}." if not option.is_flag and isinstance(option.default, str | int | float) else ""
            yield f"| {names}{value} | {_cell(option.help or '')}{default} |\n"
    for name, child in _children(command, context):
        with click.Context(child, info_name=name, parent=context) as below:
            yield from _command(child, below, f"`{below.command_path.removeprefix('./elabs ')}`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str], path: Path = PAGE) -> int:
    """Write the page with `--write`; without, say whether it is stale (exit status 1)."""
    text = page()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if "--write" in arguments:
        path.write_text(text, encoding="utf-8")
        print(f"docs/{path.name}: written")
        return 0
    print(f"docs/{path.name}: stale; run python -m elabs.cli.reference --write")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
