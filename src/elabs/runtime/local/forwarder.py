"""The labs' DNS: dnsmasq on the gateway address, under an id of its own, asking whom the host asks. It ends with the daemon and starts again with it."""

import asyncio
import logging
import shutil

from elabs.storage.ids import Instance

log = logging.getLogger("elabs.runtime")
_PAUSE = 2.0
"""Seconds before a forwarder that died is started again."""


def command(instance: Instance) -> list[str]:
    """The forwarder's command line: an ordinary id that may bind port 53, and nothing else."""
    uid = str(instance.dns_uid)
    caps = "-all,+net_bind_service"
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs", "--pdeathsig", "TERM"]
    drop += [word for kind in ("--inh-caps", "--ambient-caps", "--bounding-set") for word in (kind, caps)]
    ask = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--log-facility=-", "--no-hosts", "--resolv-file=/etc/resolv.conf"]
    return [*drop, *ask, f"--listen-address={instance.gateway}", "--bind-interfaces", "--except-interface=lo", "--port=53", "--cache-size=1000"]


async def keep(instance: Instance) -> None:
    """Run the forwarder until cancelled."""
    if shutil.which("dnsmasq") is None:
        log.error("dnsmasq is not installed: labs cannot look up names; `elabs doctor` names the package")
        return
    while True:
        process = await asyncio.create_subprocess_exec(*command(instance), stdin=asyncio.subprocess.DEVNULL)
        try:
            log.warning("the DNS forwarder ended with status %s; it starts again", await process.wait())
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        await asyncio.sleep(_PAUSE)
