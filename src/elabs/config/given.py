"""The files that settings name and our programs read, by the name that each program knows its copy by."""

from pathlib import Path

from elabs.config.model import Config


def given(config: Config) -> dict[str, Path]:
    """Path of each file that is in use: of FOR_THE_HUB, `certificate.pem` and `key.pem` of the proxy, and
    `authorities.pem`, which pods of a cluster read where it is mounted."""
    found: dict[str, Path | None] = {
        "ldap_password": config.login.ldap.search_password_file if config.login.method == "ldap" and config.login.ldap else None,
        # no secret, but in a folder that perhaps only root enters
        "ldap_ca": config.login.ldap.ca if config.login.method == "ldap" and config.login.ldap else None,
        "oauth_secret": Path(config.login.oauth["client_secret_file"])
        if config.login.method == "oauth" and "client_secret_file" in config.login.oauth
        else None,
        "certificate.pem": config.site.tls.certificate if config.site.tls else None,
        "key.pem": config.site.tls.key if config.site.tls else None,
        "authorities.pem": config.kubernetes.ca,
    }
    return {name: path for name, path in found.items() if path is not None}


FOR_THE_HUB = ("ldap_password", "ldap_ca", "oauth_secret")
"""Those that the hub reads, in `secrets` of its folder."""
