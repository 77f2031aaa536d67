"""JupyterHub's single-user server as labs run it: which settings, when it is ready, how it stops.

Everything runs on the one event loop of the main thread. Settings are defaults that a person's own Jupyter configuration may change; what JupyterHub's
extension sets (address, login) it enforces itself.
"""

import asyncio
import gc
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from jupyter_lsp import serverextension as language_servers  # type: ignore[import-untyped]
from jupyter_server.serverapp import ServerApp
from jupyterhub.singleuser.extension import JupyterHubSingleUser
from simpervisor import atexitasync
from traitlets.config import Config

from elabs.lab import catalogue, environment, language, output
from elabs.lab.output import say

STOP_KERNELS = 2.0
"""Seconds that kernels may take to end by themselves when the lab stops."""
STOP_SERVER = 4.0
"""Seconds after which the server ends whatever its parts still do, unless an app is still writing."""
LANGUAGE_SERVERS = 15.0
"""Seconds after the start when language servers are looked for."""
STOP_APPS = 25.0
"""Seconds that an app may take to write its projects when the lab stops."""

_find_language_servers = language_servers.initialize


def configuration() -> Config:
    """Defaults of every lab."""
    c = Config()
    c.ServerApp.ip = "0.0.0.0"
    c.ServerApp.port = 8888
    c.ServerApp.root_dir = str(environment.home())
    c.LabApp.extension_manager = "readonly"
    c.LabApp.news_url = None
    c.LabApp.extra_labextensions_path = [str(Path(__file__).parent / "labextensions")]
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    c.KernelManager.shutdown_wait_time = STOP_KERNELS
    wanted = filter(None, os.environ.get("ELABS_APPS", "").split(","))
    c.ServerProxy.servers = catalogue.servers(wanted, environment.home(), int(os.environ.get("ELABS_MEMORY_LIMIT") or 0))
    if spare := environment.spare():
        c.NotebookNotary.data_dir = str(spare)
        c.LabApp.workspaces_dir = str(spare / "workspaces")
    return c


def prepare() -> ServerApp:
    """The server, listening but not yet answering. Whatever it cannot do raises, SystemExit included."""
    # The hub's version is ours, and a hub that restarts just now must not keep a lab from starting.
    JupyterHubSingleUser.check_hub_version = _no_check
    # Nobody migrates from IPython 3 here; looking for it only writes a file into the home.
    ServerApp.migrate_config = lambda self: None  # type: ignore[method-assign]
    language_servers.initialize = _after_the_page
    if os.environ.get("ELABS_LANGUAGE", "auto") == "auto":
        language.follow_browsers()
    c = configuration()
    app: ServerApp = JupyterHubSingleUser.initialize_server(argv=[], config=c)
    app.web_app.settings.setdefault("page_config_data", {})["elabsApps"] = json.dumps(catalogue.buttons(c.ServerProxy.servers))
    return app


def serve(app: ServerApp) -> NoReturn:
    """Answer until SIGTERM or SIGINT, then stop kernels and apps, and end the process."""
    # Apps come with a supervisor that would end this process at SIGTERM before they have written anything: stopping is ours.
    atexitasync.signal_handler_set = True
    stopping: list[asyncio.Task[None]] = []

    def stop() -> None:
        if not stopping:
            stopping.append(asyncio.ensure_future(_stop(app)))

    loop: Any = app.io_loop
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.asyncio_loop.add_signal_handler(number, stop)
    loop.add_callback(_say_ready)
    app.start()
    output.expose()
    os._exit(0)  # threads of libraries may hang; there is nothing left to do


async def _after_the_page(*args: Any) -> None:
    """In place of `language_servers.initialize`, which starts R and more to see what is installed, just when the page is being loaded."""
    await asyncio.sleep(LANGUAGE_SERVERS)
    await _find_language_servers(*args)


async def _no_check(self: JupyterHubSingleUser) -> None:
    """In place of `check_hub_version`."""


def _say_ready() -> None:
    """Tell whoever started the lab, on the descriptor it named, that requests are answered from now on."""
    gc.freeze()
    gc.enable()
    if descriptor := os.environ.pop("ELABS_READY_FD", ""):
        try:
            os.write(int(descriptor), b"ready\n")
            os.close(int(descriptor))
        except (OSError, ValueError) as error:
            say(f"nobody hears that the lab is ready: {error}")


async def _stop(app: ServerApp) -> None:
    """Kernels, extensions and apps at once; apps get the time to write."""
    supervised = [handler.__self__ for handler in atexitasync._handlers]
    for process in supervised:
        process._handle_signal(signal.SIGTERM)
    try:
        app.http_server.stop()
        await asyncio.wait_for(app._cleanup(), STOP_SERVER)
    except Exception as error:
        say(f"stopping: {error!r}")
    await _ended(supervised, STOP_APPS - STOP_SERVER)
    app.io_loop.stop()


async def _ended(supervised: Iterable[Any], within: float) -> None:
    deadline = time.monotonic() + within
    while (left := [process.name for process in supervised if process.running]) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    if left:
        say(f"not stopped by itself: {', '.join(left)}")
