"""`elabs.yaml` and the place made into JupyterHub's configuration: all that JupyterHub is told stands here. Only sets, never appends to what is there.

The last word is the operator's: `hub.snippets` run after all of it.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub import pages, spawner
from elabs.hub.login import methods
from elabs.hub.place import Place
from elabs.hub.request import client_address
from elabs.hub.roles import CULLER, STATUS, roles
from elabs.hub.text import use_language

_QUEUE_SECONDS = 240
"""How long a start may wait for its turn, beyond the time the start itself may take."""
_ROUTES_SECONDS = 5
"""How soon the routes to labs are back after a restart of the proxy."""


class SnippetError(Exception):
    """A snippet failed; `str()` is one line with file and line."""


def configure(c: Any, config: Config, place: Place, labs: Callable[[Any], None]) -> None:
    """Set all of JupyterHub's configuration on `c`; `labs` sets how labs are made.

    OSError where one of the hub's secrets is missing, SnippetError where a snippet fails.
    """
    _hub(c, config, place)
    _proxy(c, config, place)
    labs(c)
    _pages(c, config, place)
    c.JupyterHub.authenticator_class = methods.authenticator(config.login, partial(client_address, is_proxy=place.is_proxy, before=place.proxies_before))
    methods.configure(c, config, place.state)
    _services(c, config, place.state)
    if config.hub.snippets:
        run_snippets(c, config.hub.snippets)


def _hub(c: Any, config: Config, place: Place) -> None:
    hub = c.JupyterHub
    hub.hub_bind_url = place.hub_url
    hub.hub_connect_url = place.hub_url_for_others
    hub.db_url = config.hub.database or f"sqlite:///{place.kept / 'jupyterhub.sqlite'}"
    hub.upgrade_db = True
    hub.cookie_secret_file = str(place.kept / "cookie_secret")
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.admin_access = False
    hub.allow_named_servers = False
    hub.authenticate_prometheus = True
    hub.concurrent_spawn_limit = 0  # starts queue where labs are made


def _proxy(c: Any, config: Config, place: Place) -> None:
    c.JupyterHub.bind_url = place.proxy_url
    if config.site.url:
        c.JupyterHub.public_url = config.site.url
    c.JupyterHub.last_activity_interval = _ROUTES_SECONDS
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = place.proxy_api
    c.ConfigurableHTTPProxy.auth_token = _token(place.state, "proxy_token")


def labs_of_the_daemon(c: Any, config: Config, state: State) -> None:
    """Labs that the daemon of one machine makes."""
    c.JupyterHub.spawner_class = spawner.LabSpawner
    c.LabSpawner.socket = str(state.socket)
    any_labs(c.LabSpawner, config)


def any_labs(labs: Any, config: Config) -> None:
    """What every spawner of ours is told; `labs` is its section."""
    labs.settings = config
    labs.queue_seconds = _QUEUE_SECONDS
    labs.start_timeout = config.labs.start_timeout + _QUEUE_SECONDS + 30
    labs.options_form = spawner.options_form
    labs.options_from_form = spawner.options_from_form
    labs.apply_user_options = spawner.apply_user_options
    labs.progress_ready_hook = spawner.ready_event
    labs.post_stop_hook = spawner.forget_tokens


def _pages(c: Any, config: Config, place: Place) -> None:
    use_language(config.site.language)
    c.JupyterHub.template_paths = [str(pages.TEMPLATES)]
    c.JupyterHub.redirect_to_server = False
    c.JupyterHub.default_url = landing
    c.JupyterHub.tornado_settings = {
        # JupyterHub's own cookies are secure behind https by themselves, but for the one against forged requests
        "cookie_options": {"samesite": "Lax", **({"secure": True} if place.secure_cookies else {})},
        "headers": {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"},
    }


def landing(handler: Any) -> str:
    """Where a person goes who asked for no page: into their lab where it runs, else to the home page, which says what became of it."""
    user = handler.current_user
    if user is None:
        return ""
    return str(user.url) if user.spawner.ready else f"{handler.hub.base_url}home"


def _services(c: Any, config: Config, state: State) -> None:
    services: list[dict[str, Any]] = [{"name": STATUS, "api_token": _token(state, "status_token"), "display": False}]
    if config.labs.idle.after:
        services.append({"name": CULLER, "command": culler_command(config.labs.idle.after)})
    c.JupyterHub.services = services
    c.JupyterHub.load_roles = roles(config.login.admins, [service["name"] for service in services])


def culler_command(after: int) -> list[str]:
    """The command line that stops labs idle for `after` seconds, found at most five minutes late; it ends with the hub, however that ends."""
    every = max(5, min(after // 4, 300))
    return ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-P", "-m", "jupyterhub_idle_culler", f"--timeout={after}", f"--cull-every={every}"]


def run_snippets(c: Any, folder: Path) -> None:
    """Run every `*.py` of the folder, in order of their names, with `c`."""
    try:
        files = sorted(folder.glob("*.py"))
        for file in files:
            exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"c": c, "__file__": str(file), "__name__": f"elabs_snippet_{file.stem}"})
    except Exception as error:
        raise SnippetError(_where(error, {str(file) for file in files}, folder)) from error


def _where(error: Exception, files: set[str], folder: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    place, frame = str(getattr(error, "filename", None) or folder), error.__traceback__
    while frame:
        if frame.tb_frame.f_code.co_filename in files:
            place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return " ".join(f"{place}: {type(error).__name__}: {error}".split())


def _token(state: State, name: str) -> str:
    return (state.hub / "secrets" / name).read_text(encoding="utf-8").strip()
