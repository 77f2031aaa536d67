"""What a person did wrong, in one line: what, where, and what to do. The command line ends with exit status 2."""

import click


class Problem(click.ClickException):
    """Something that the person at the keyboard can mend; `str()` is one line."""

    exit_code = 2
