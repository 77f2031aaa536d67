"""Room for the next labs: pods that do nothing, have a lab's size, and give way to a lab at once. How many there are follows the settings and the clock."""

import datetime
import logging
from zoneinfo import ZoneInfo

from kubespawner.clients import shared_client

from elabs.config.kubernetes import Headroom
from elabs.config.model import Config
from elabs.hub.cluster.clouds import UNANSWERED
from elabs.runtime.kubernetes.labs import Release

log = logging.getLogger("elabs.hub")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def wanted(headroom: Headroom, now: datetime.datetime) -> int:
    """Labs that there is to be room for; `now` has a time zone."""
    here = now.astimezone(ZoneInfo(headroom.timezone))
    clock, today, yesterday = here.strftime("%H:%M"), _DAYS[here.weekday()], _DAYS[here.weekday() - 1]
    found = headroom.labs
    for period in headroom.schedule.values():
        if period.start <= period.end:
            holds = today in period.days and period.start <= clock < period.end
        else:
            holds = (today in period.days and clock >= period.start) or (yesterday in period.days and clock < period.end)
        if holds:
            found = max(found, period.labs)
    return found


def is_used(headroom: Headroom) -> bool:
    """Whether there is ever to be room."""
    return headroom.labs > 0 or bool(headroom.schedule)


async def keep(config: Config, release: Release) -> None:
    """Let there be as many placeholders as are wanted now; a cluster that does not answer is asked another time."""
    headroom = config.labs.headroom
    if not is_used(headroom):
        return
    api, name = shared_client("AppsV1Api"), f"{release.name}-headroom"
    count = wanted(headroom, datetime.datetime.now(datetime.UTC))
    try:
        scale = await api.read_namespaced_stateful_set_scale(name, release.namespace)
        if scale.spec.replicas != count:
            await api.patch_namespaced_stateful_set_scale(name, release.namespace, {"spec": {"replicas": count}})
            log.info("room for %s labs, where it was for %s", count, scale.spec.replicas)
    except UNANSWERED as error:
        log.warning("room for labs could not be set to %s: %s", count, getattr(error, "reason", None) or repr(error))
