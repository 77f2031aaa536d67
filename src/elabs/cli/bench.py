"""`elabs bench`: what is measured, side by side with JupyterHub as it comes, in one run, on this machine."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import click

from elabs.cli.bench_arms import ElabsArm, SimpleArm, machine
from elabs.cli.options import Options, pass_options
from elabs.cli.visit import Visit, VisitError

_WARM_UP = 1
"""Starts of each arm before those that count: the first reads programs from the disk."""


@click.group(help="Measure how fast labs start.")
def bench() -> None:
    """The benchmarks by name."""


@bench.command(help="Time from request to a ready lab, and to the first executed cell; ours and JupyterHub's SimpleLocalProcessSpawner, in turn.")
@click.option("--cold", is_flag=True, help="A start without anything prepared (the only kind there is so far).")
@click.option("--people", type=click.IntRange(min=1), default=10, show_default=True, help="People per arm, one after another.")
@click.option("--image", default="small", show_default=True, help="Image of our labs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_options
def spawn(options: Options, cold: bool, people: int, image: str, as_json: bool) -> None:
    """Bring up both arms in a folder of their own beside the state folder, measure, take them down."""
    del cold  # every start is one, until labs are forked
    folder = Path(f"{options.state.root}-bench")
    times: dict[str, dict[str, list[float]]] = {}
    with ElabsArm(folder / "elabs", options.state, image) as ours, SimpleArm(folder / "simple", ours) as simple:
        arms = {"elabs": ours, "simple": simple}
        for number in range(-_WARM_UP, people):
            for name, arm in arms.items():
                ready, cell = _one(Visit(arm.base, f"person{number + _WARM_UP}", arm.password))
                if not as_json:
                    click.echo(f"{name:8} person {number + _WARM_UP:3}: ready {ready:.2f} s, first cell {cell:.2f} s{' (warm-up)' if number < 0 else ''}")
                if number >= 0:
                    times.setdefault(name, {"ready_s": [], "cell_s": []})
                    times[name]["ready_s"].append(ready)
                    times[name]["cell_s"].append(cell)
        result: dict[str, Any] = {"machine": {**machine(), "versions": {name: arm.versions() for name, arm in arms.items()}}, **_summary(times)}
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        for name, arm_result in result["arms"].items():
            click.echo(
                f"{name:8} ready p50 {arm_result['ready_s']['p50']:.2f} s, p95 {arm_result['ready_s']['p95']:.2f} s; "
                f"first cell p50 {arm_result['cell_s']['p50']:.2f} s, p95 {arm_result['cell_s']['p95']:.2f} s"
            )
        click.echo(f"elabs is {result['times_faster']['ready']:.1f} times faster to ready, {result['times_faster']['cell']:.1f} times to the first cell")


def _one(visit: Visit) -> tuple[float, float]:
    """Seconds from the request to ready, and to the first executed cell."""
    visit.login()
    begin = time.perf_counter()
    ready = visit.start()
    visit.enter()
    if visit.run(visit.kernel(), "1 + 1").text != "2":
        raise VisitError(f"a cell of {visit.name} gave no 2")
    cell = time.perf_counter() - begin
    visit.stop()
    return ready, cell


def _summary(times: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, dict[str, dict[str, float]]] | dict[str, float]]:
    """p50 and p95 of each arm, and how many times faster ours is at p50."""
    arms = {
        name: {kind: {"p50": round(_quantile(values, 0.5), 3), "p95": round(_quantile(values, 0.95), 3)} for kind, values in kinds.items()}
        for name, kinds in times.items()
    }
    faster = {kind: round(arms["simple"][f"{kind}_s"]["p50"] / arms["elabs"][f"{kind}_s"]["p50"], 2) for kind in ("ready", "cell")}
    return {"arms": arms, "times_faster": faster}


def _quantile(values: list[float], share: float) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
