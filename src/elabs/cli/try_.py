"""`elabs try`: two people's first day on a running instance, over the web as their browsers would, each step with its time."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from elabs.cli.daemon import ask
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.cli.visit import Visit, VisitError
from elabs.config.model import Config

NOTEBOOKS = {"taxonomy/arbol.ipynb": "python3", "taxonomy/arbol_r.ipynb": "ir"}
"""The example's notebooks, of which one builds both trees in Python and one in R."""
TREES = ("taxonomy/ArbolAves.csv", "taxonomy/ArbolMamiferos.csv")


@click.command("try", help="Play two people's first day on a running instance, step by step.")
@click.option("--accounts", type=click.Path(path_type=Path, exists=True), help="File with two lines `NAME PASSWORD` [the demo accounts].")
@click.option("--json", "as_json", is_flag=True, help="Print the steps and their seconds as JSON.")
@pass_options
def try_(options: Options, accounts: Path | None, as_json: bool) -> None:
    """Play the story; exit status 2 and one line at the first step that goes wrong."""
    if not options.state.config.exists():
        raise Problem("no elabs runs here; run: elabs up")
    config = Config.model_validate_json(options.state.config.read_text())
    source = accounts or options.state.demo_accounts
    people = re.findall(r"^([^\s#]+)\s+(\S+)", source.read_text() if source.exists() else "", re.MULTILINE)[:2]
    if len(people) < 2:
        raise Problem(f"{source}: two lines with NAME PASSWORD are needed; give --accounts FILE")
    steps: dict[str, float] = {}
    try:
        _story(
            [Visit(base_url(config), name, password, ca=str(config.site.tls.certificate) if config.site.tls else None) for name, password in people],
            config,
            options,
            _teller(steps, as_json),
        )
    except VisitError as error:
        raise Problem(str(error)) from None
    if as_json:
        click.echo(json.dumps({"steps": steps, "seconds": round(sum(steps.values()), 3)}))
    else:
        click.echo(f"all {len(steps)} steps went well, in {sum(steps.values()):.1f} s")


def base_url(config: Config) -> str:
    """Where a browser on this machine finds the instance."""
    host, _, port = config.site.listen.rpartition(":")
    host = "127.0.0.1" if host in ("0.0.0.0", "[::]") else host
    return f"{'https' if config.site.tls else 'http'}://{host}:{port}"


Step = Callable[[str], AbstractContextManager[None]]


def _teller(steps: dict[str, float], quiet: bool) -> Step:
    @contextmanager
    def step(text: str) -> Iterator[None]:
        begin = time.perf_counter()
        if not quiet:
            click.echo(f"{len(steps) + 1:2}. {text} … ", nl=False)
        try:
            yield
        except BaseException:
            if not quiet:
                click.echo("no")
            raise
        steps[text] = round(time.perf_counter() - begin, 3)
        if not quiet:
            click.echo(f"{steps[text]:.2f} s")

    return step


def _story(people: list[Visit], config: Config, options: Options, step) -> None:  # type: ignore[no-untyped-def]
    first, second = people
    for person in people:
        with step(f"{person.name} logs in"):
            person.login()
    for person in people:
        with step(f"{person.name}'s lab starts"):
            person.start()
            person.enter()
    for path, kernel in NOTEBOOKS.items():
        for person in people:
            with step(f"{person.name} runs {path}"):
                person.run_notebook(path, kernel)
    with step("the trees of both languages and people are the same"):
        trees = [[person.file(path) for path in TREES] for person in people]
        if trees[0] != trees[1] or not all(tree.count(b"\n") > 50 for tree in trees[0]):
            raise VisitError("the trees differ, or are too small")
    apps = _apps(options)
    if "openrefine" in apps:
        for person in people:
            with step(f"{person.name} opens OpenRefine and loads ArbolAves.csv"):
                _openrefine(person, person.file(TREES[0]))
    with step(f"{first.name} does not see {second.name}'s lab, nor the other way round"):
        _private(first, second)
        _private(second, first)
    with step(f"{first.name}'s lab stops"):
        first.stop()
    with step(f"{second.name}'s lab goes on meanwhile"):
        if second.run(second.kernel(), "print(6 * 7)").text.strip() != "42":
            raise VisitError(f"{second.name}'s lab does not run a cell any more")
    with step(f"{first.name}'s lab starts again"):
        first.start()
        first.enter()
    with step("the files are still there"):
        if [first.file(path) for path in TREES] != trees[0]:
            raise VisitError("a file is not as it was")
    for person in people:
        with step(f"{person.name}'s lab stops for today"):
            person.stop()


def _apps(options: Options) -> set[str]:
    """Apps that the labs which run now offer."""
    from elabs.runtime import images

    offered: set[str] = set()
    config = Config.model_validate_json(options.state.config.read_text())
    for lab in ask(options.state, "list")["labs"]:
        if image := images.find(options.state, config.image_of(lab["profile"])):
            offered |= set(image.apps) & set(config.apps)
    return offered


def _private(person: Visit, other: Visit) -> None:
    for path in ("lab", "api/contents", "files/taxonomy/ArbolAves.csv", "openrefine/"):
        status = person.get(f"user/{other.name}/{path}").status_code
        if status not in (403, 404):
            raise VisitError(f"{person.name} gets {status} for {other.name}'s {path}")


def _openrefine(person: Visit, table: bytes) -> None:
    """Make a project of a CSV through the app's own interface, look at its rows, delete it."""
    app = f"user/{person.name}/openrefine"
    page = person.get(f"{app}/", timeout=120)
    if page.status_code != 200 or "OpenRefine" not in page.text:
        raise VisitError(f"OpenRefine does not open: {page.status_code}")

    def command(method: str, name: str, **options: object):  # type: ignore[no-untyped-def]
        token = person.get(f"{app}/command/core/get-csrf-token").json()["token"]
        query = {"csrf_token": token, **options.pop("params", {})}  # type: ignore[dict-item]
        return person.session.request(method, f"{person.base}/{app}/command/core/{name}", params=query, timeout=120, **options)  # type: ignore[arg-type]

    made = command(
        "POST",
        "create-project-from-upload",
        files={"project-file": ("ArbolAves.csv", table, "text/csv")},
        data={"project-name": "ArbolAves", "format": "text/line-based/*sv", "options": json.dumps({"separator": ",", "headerLines": 1})},
        allow_redirects=False,
    )
    found = re.search(r"project=(\d+)", made.headers.get("Location", "") + made.text)
    if not found:
        raise VisitError(f"OpenRefine made no project: {made.status_code}")
    rows = command("POST", "get-rows", params={"project": found[1], "start": 0, "limit": 1}).json()
    expected = table.count(b"\n") - 1
    command("POST", "delete-project", data={"project": found[1]})
    if rows.get("total") != expected:
        raise VisitError(f"OpenRefine shows {rows.get('total')} rows of {expected}")
