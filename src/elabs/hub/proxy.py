"""`python -m elabs.hub.proxy`: becomes configurable-http-proxy, with its token in the environment, since arguments can be read by every account of the machine.

Runs as the proxy's own user, which reads its copies of token, certificate and key in `<state>/proxy`, and nothing else of the instance's secrets.
"""

import os
import sys
from pathlib import Path

from elabs.config.model import Config
from elabs.config.section import listen_address
from elabs.config.state import State
from elabs.hub.waiting import wait_for_address
from elabs.runtime.protocol import HUB_PORT, PROXY_API_PORT
from elabs.storage.ids import Instance

ERROR_PAGES = Path(__file__).parent / "error_pages"


def command(config: Config, state: State, instance: Instance) -> list[str]:
    """The whole command line; nothing in it is secret.

    What no route is known for goes to the hub, so that its pages are there again at once after a restart of the proxy; error pages are files, so that they are
    there without the hub.
    """
    host, port = listen_address(config.site.listen)
    hub, current = f"http://{instance.gateway}:{HUB_PORT}", state.node / "current"
    tls = ["--ssl-cert", str(state.proxy / "certificate.pem"), "--ssl-key", str(state.proxy / "key.pem")] if config.site.tls else []
    return [
        str(current / "bin" / "node"),
        str(current / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"),
        *("--ip", host, "--port", str(port)),
        *("--api-ip", instance.api, "--api-port", str(PROXY_API_PORT)),
        *("--default-target", hub, "--error-path", str(ERROR_PAGES)),
        *("--log-level", "warn"),
        *tls,
    ]


def main() -> None:
    """Become the proxy. Ends with status 2 and one line where a file is missing."""
    state = State(Path(os.environ["ELABS_STATE"]))
    try:
        instance = Instance.load(state)
        line = command(Config.model_validate_json(state.config.read_text(encoding="utf-8")), state, instance)
        token = (state.proxy / "secrets" / "proxy_token").read_text(encoding="utf-8").strip()
        wait_for_address(instance.api, "elabs proxy")
        os.execve(line[0], line, {**os.environ, "CONFIGPROXY_AUTH_TOKEN": token, "NODE_ENV": "production"})
    except OSError as error:
        print(f"elabs proxy: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
