"""The institute's own certificate authorities, believed beside the well-known ones by whatever a person runs: most programs take one file, so one is written
that holds both, and each program is told of it by the variable that it knows.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from elabs.lab import output

WELL_KNOWN = Path("/etc/ssl/certs/ca-certificates.crt")
WHOLE = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
"""Variables that name the file of all authorities: OpenSSL and Python, requests and pip, curl and R, git."""
BESIDE = "NODE_EXTRA_CA_CERTS"
"""The one that names those beside the well-known ones."""


def believe(environment: MutableMapping[str, str] = os.environ, well_known: Path = WELL_KNOWN) -> None:
    """Write the file and set the variables, where `ELABS_AUTHORITIES` names a file of authorities; a person's own values stay."""
    own = environment.get("ELABS_AUTHORITIES")
    if not own:
        return
    try:
        known = well_known.read_text(encoding="utf-8") if well_known.exists() else ""
        whole = Path(environment["XDG_RUNTIME_DIR"]) / "authorities.pem"
        whole.write_text(f"{known.rstrip()}\n{Path(own).read_text(encoding='utf-8')}", encoding="utf-8")
    except (OSError, KeyError) as error:
        output.say(f"the institute's own certificate authorities are not believed: {error!r}")
        return
    for name in WHOLE:
        environment.setdefault(name, str(whole))
    environment.setdefault(BESIDE, own)
