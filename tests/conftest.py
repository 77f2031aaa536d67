"""What the groups of tests share. `unit` needs nothing; the others need root and an instance that `elabs test` can bring up."""

import os
import re
from collections.abc import Iterator

import pytest

from elabs.config.state import State
from tests.live import Live, free_port, share, state_folder

CONFIG = """\
site:
  listen: {listen}
{site}image: {image}
apps: [{apps}]
sizes:
  medium: {{memory: {memory}, cpu: 1, pids: 200, tmp: 64M}}
storage:
  pool: 2G
  home: {{size: {home}}}
labs:
  start_timeout: 120s
  network:
    allow: [10.98.98.0/24]
"""


def start_live(image: str, apps: str = "", name: str = "", memory: str = "768M", home: str = "96M", listen: str = "", site: str = "") -> Live:
    """Bring up an instance of the tests' with one image; instances of another name share what is installed. `site` is more lines of that section."""
    folder = share(state_folder() / name) if name else state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "test.yaml"
    port = free_port()
    if config.exists() and (found := re.search(r"127\.0\.0\.1:(\d+)", config.read_text())):
        port = int(found[1])
    listen = listen or f"127.0.0.1:{port}"
    config.write_text(CONFIG.format(listen=listen, site=site, image=image, apps=apps, memory=memory, home=home))
    live = Live(State(folder), config)
    live.run("down")
    live.up()
    return live


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """A running instance with the small image; two people and an administrator."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    live = start_live(os.environ.get("ELABS_TEST_IMAGE", "small"), os.environ.get("ELABS_TEST_APPS", ""))
    yield live
    live.down()
