"""Who may do what through the hub's API: people themselves as JupyterHub has it, administrators and services the least that serves.

JupyterHub's own `admin` role may enter everybody's lab and act as anybody. An administrator of ours sees who is there, and starts and stops labs; never what is
in them.
"""

from typing import Any

ADMINISTRATORS = "elabs-administrators"
"""The hub's group of those whom the directory calls administrators."""
CULLER = "culler"
"""The service that stops idle labs."""
STATUS = "elabs-status"
"""The service that `elabs status` asks as."""


def roles(admins: list[str], services: list[str]) -> list[dict[str, Any]]:
    """`JupyterHub.load_roles`: `admins` are accounts that administrate whatever the directory says, `services` the names of the services there are."""
    found: list[dict[str, Any]] = [
        {
            "name": "administrator",
            "description": "See people and their labs, start and stop labs",
            "scopes": ["admin-ui", "list:users", "read:users", "delete:users", "servers", "list:groups", "read:groups", "read:hub", "read:metrics"],
            "users": admins,
            "groups": [ADMINISTRATORS],
        }
    ]
    scopes = {
        CULLER: ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        STATUS: ["list:users", "read:users:activity", "read:servers"],
    }
    found += [{"name": service, "description": f"What the service {service} needs", "scopes": scopes[service], "services": [service]} for service in services]
    return found
