"""What is written from the model: the reference page with its table of defaults, the JSON schema, and the chart's two files of values.

`python -m elabs.config.generate --write` writes them; a test compares.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elabs.config import tree
from elabs.config.document import Where, dotted
from elabs.config.model import Config
from elabs.config.schema import schema

_INTRODUCTION = """# `elabs.yaml`

<!-- Written by `python -m elabs.config.generate --write` from src/elabs/config/model.py: change that, not this. -->

One file says what the institute offers. Every setting has a default, so an empty file, or none, is a running elabs with demo accounts.
[`elabs.yaml`](../elabs.yaml) is an example to start from, with every line explained.

```sh
./elabs config check     # what is wrong, each with its line; exit status 2
./elabs config show      # every setting in force, and whether it is yours or the default
./elabs config schema    # JSON schema; the same as docs/elabs.schema.json
```

`./elabs up` puts a changed file in force.

## How values are written

| Kind | Written | Means |
|---|---|---|
| duration | `90s` `10m` `1h` `1h 30m` `7d` | a number and a unit: s, m or min, h, d, w. A bare number is refused: its unit would be a guess |
| size in bytes | `512M` `4G` `1.5T` `4GiB` | K, M, G, T are powers of 1024, everywhere. A bare number is bytes |
| path | `tls/key.pem` `/etc/ssl/key.pem` | relative to the folder of `elabs.yaml` |
| name | `large` `gis-2` | a-z, 0-9 and `-` inside, at most 32 characters |
| host | `ldap.example.org` | a name or address alone, without `ldap://` or a port |
| network | `10.1.2.0/24` | an IPv4 range |

- An unknown key is an error that names the nearest known one. A key without a value is an error too; a section without settings means its defaults.
- A secret is never written in this file. A setting that needs one names a file that holds it and nothing else (a line end is ignored).
- Anchors (`&name`), aliases (`*name`) and merge keys (`<<: *name`) work.
- Run by root, elabs refuses a file that others than root may write, since root's daemon obeys it: `chown root:root elabs.yaml; chmod go-w elabs.yaml`.
- An editor that knows YAML schemas completes and checks the file with this as its first line: `# yaml-language-server: $schema=docs/elabs.schema.json`

## All settings
"""

_VALUES = """\
# Written by `python -m elabs.config.generate --write` from the model of elabs.yaml: change that, not this.
# The values file of this chart is the institute's elabs.yaml; docs/configuration.md has all settings. Here are only the defaults that templates read.
"""

_AFTER = """
## Escape hatch

`hub.snippets` names a folder of Python files. They run in the order of their names when the hub has configured itself, with JupyterHub's configuration
object as `c`, and have the last word:

```python
# /etc/elabs/hub.d/10-limits.py
c.JupyterHub.active_server_limit = 40
```

What a lab may do is not JupyterHub's to say, so a snippet cannot widen it: uid ranges, mounts, limits and network come from this file alone.
"""


def reference() -> str:
    """The reference page, in Markdown."""
    return _INTRODUCTION + "".join(_sections(tree.root(), ())) + _AFTER


def schema_text() -> str:
    """The JSON schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def chart_schema_text() -> str:
    """The schema of the chart's values: that of `elabs.yaml`, and Helm's own `global`."""
    found = schema()
    found["properties"] = {**found["properties"], "global": {"type": "object", "description": "Helm's own."}}
    return json.dumps({**found, "title": "Values of the chart elabs: elabs.yaml"}, indent=2, ensure_ascii=False) + "\n"


def chart_values_text() -> str:
    """The chart's defaults: those that its templates read. What is computed from other settings, or replaced as a whole, is left to the model."""
    whole = Config().model_dump(mode="json")
    sizes = {name: {key: size[key] for key in ("memory", "cpu", "pids")} for name, size in whole["sizes"].items()}
    values = {"image": whole["image"], "sizes": sizes, "kubernetes": {key: value for key, value in whole["kubernetes"].items() if value is not None}}
    for section in (values["kubernetes"], values["kubernetes"]["hub"]):
        for key in [key for key, value in section.items() if value is None]:
            del section[key]
    return _VALUES + "".join(_yaml(values, 0))


def _yaml(values: dict[str, Any], depth: int) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{'  ' * depth}{key}:\n"
            yield from _yaml(value, depth + 1)
        else:
            yield f"{'  ' * depth}{key}: {json.dumps(value)}\n"


def files() -> dict[str, str]:
    """Every written file: its path in the project and what it must hold."""
    return {
        "docs/configuration.md": reference(),
        "docs/elabs.schema.json": schema_text(),
        "charts/elabs/values.schema.json": chart_schema_text(),
        "charts/elabs/values.yaml": chart_values_text(),
    }


def _sections(node: tree.Node, where: Where) -> Iterator[str]:
    """A heading and a table for each section, in the model's order; sections below follow it."""
    plain = {name: child for name, child in node.children.items() if not child.children}
    if where:
        yield f"\n### `{dotted(where)}`\n\n{_sentence(node.meaning)}\n"
    if plain:
        yield "\n| Setting | Value | Default | |\n|---|---|---|---|\n"
        for name, child in plain.items():
            yield f"| `{name}` | {_cell(child.kind)} | {_cell(child.default or 'must be given')} | {_cell(child.meaning)} |\n"
    if where == ("sizes",):
        yield _default_sizes()
    for name, child in node.children.items():
        if child.children:
            yield from _sections(child, (*where, name))


def _default_sizes() -> str:
    from elabs.config.explain import explain
    from elabs.config.load import read

    rows: dict[str | int, list[str]] = {}
    for setting in explain(read(None)):
        if setting.where[0] == "sizes":
            rows.setdefault(setting.where[1], []).append(f"{setting.value:g}" if isinstance(setting.value, float) else str(setting.value))
    names = [str(place[-1]) for place, _ in tree.settings() if place[:2] == ("sizes", tree.ANY_NAME) and len(place) == 3]
    lines = [f"| There from the start | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| `{name}` | {' | '.join(values)} |" for name, values in rows.items()]
    return "\n" + "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the files with `--write`; without, say which are stale (exit status 1)."""
    project = Path(__file__).resolve().parents[3]
    stale = {name: text for name, text in files().items() if not (project / name).exists() or (project / name).read_text(encoding="utf-8") != text}
    for name, text in stale.items():
        if "--write" in arguments:
            (project / name).write_text(text, encoding="utf-8")
        print(f"{name}: {'written' if '--write' in arguments else 'stale; run python -m elabs.config.generate --write'}")
    return 1 if stale and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
