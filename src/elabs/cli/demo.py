"""`elabs demo`: the demo accounts, on a terminal alone. Passwords never go to a file or a pipe."""

import sys

import click

from elabs.cli import instance
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.cli.setup import accounts


@click.command()
@pass_options
def demo(options: Options) -> None:
    """Show the demo accounts and their passwords (root, on a terminal)."""
    instance.need_root("demo")
    file = options.state.demo_accounts
    if not file.exists():
        raise Problem(f"there are no demo accounts in {options.state.root}: elabs up makes them where login.method is demo")
    if not sys.stdout.isatty():
        raise Problem(f"passwords are shown on a terminal alone; root reads them in {file}")
    for account in accounts.read(options.state):
        click.echo(f"{account.name:<10} {account.password}{'   (administrator)' if accounts.NAMES.get(account.name) else ''}")
