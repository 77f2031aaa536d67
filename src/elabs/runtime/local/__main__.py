"""`elabs-runtime`: the daemon of one instance. ELABS_STATE names the state folder; all else it reads there. Root only; ends on SIGTERM and leaves labs running.

SIGUSR1 ends the labs and takes the network away first: that is `elabs down`.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from elabs.config.model import Config
from elabs.config.state import State
from elabs.journal.events import Journal
from elabs.runtime.local import code, container, forwarder, network, seccomp, selftest
from elabs.runtime.local.labs import Labs
from elabs.runtime.local.server import Server
from elabs.storage import pool
from elabs.storage.ids import Instance
from elabs.storage.run import StorageError

log = logging.getLogger("elabs.runtime")


def main() -> int:
    """Run until a signal; 2 and one line where the machine cannot run labs."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if os.geteuid() != 0:
        return _refuse("elabs-runtime needs root")
    state = State(Path(os.environ["ELABS_STATE"]))
    try:
        config = Config.model_validate_json(state.config.read_text())
        instance = Instance.load(state)
        calls = seccomp.read(state.seccomp)
        pool.ensure(state, config)
        if failed := selftest.limits_that_do_not_bind(instance, state.run / "runc", state.run / "selftest", calls):
            return _refuse(f"limits do not bind on this machine, so no lab may run: {', '.join(failed)}")
        network.open_network(instance, config.labs.network.allow)
        examples = Path(os.environ["ELABS_EXAMPLES"]) if "ELABS_EXAMPLES" in os.environ else None
        lab_code = code.ensure(state, examples)
    except (OSError, ValueError, KeyError, StorageError) as error:
        return _refuse(f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error))
    (state.logs / "labs").mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(_serve(state, config, instance, lab_code, calls))
    return 0


def _refuse(line: str) -> int:
    print(f"elabs-runtime: {' '.join(line.split())}", file=sys.stderr)
    return 2


async def _serve(state: State, config: Config, instance: Instance, lab_code: Path, calls: dict[str, object]) -> None:
    journal = Journal(state.journal)
    labs = Labs(state, config, instance, journal, lab_code, calls)
    await labs.recover()
    dns = asyncio.create_task(forwarder.keep(instance))
    server = await Server(labs, instance.hub_uid).listen(state.socket)
    stopping: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def stop(with_labs: bool) -> None:
        if not stopping.done():
            stopping.set_result(with_labs)

    for number, with_labs in ((signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGUSR1, True)):
        asyncio.get_running_loop().add_signal_handler(number, stop, with_labs)
    log.info("ready, %s labs found", len(labs.all()))
    with_labs = await stopping
    server.close()
    dns.cancel()
    if with_labs:
        await labs.stop_all("administrator")
        network.close_network(instance)
        container.remove_cgroups(instance.number)
    journal.close()


if __name__ == "__main__":
    sys.exit(main())
