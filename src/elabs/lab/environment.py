"""The environment of a lab: secrets come on standard input, and whatever Jupyter wants to write has a place even where the home takes nothing more."""

import errno
import json
import locale
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from elabs.lab import output

_AGAIN = "ELABS_WITHOUT_PERSONAL_CONFIGURATION"
_LOCALES = {"es": "es_ES.UTF-8", "en": "en_US.UTF-8"}


def home() -> Path:
    """The person's home."""
    return Path(os.environ["HOME"])


def receive(descriptor: int) -> None:
    """Read one line, a JSON object of strings, into the environment, then point `descriptor` to /dev/null. ValueError without such a line.

    That way the values are on no command line and in no configuration that others may read. In a cluster, which gives a pod its environment, there is no line.
    """
    if not without_personal_configuration() and os.environ.get("ELABS_SECRETS") != "environment":
        with open(descriptor, closefd=False, encoding="utf-8") as given:
            values = json.loads(given.readline() or "null")
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValueError("standard input must hold one line: a JSON object of strings")
        os.environ.update(values)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def settle() -> None:
    """Decide where things are written, and in which language programs speak."""
    os.environ.setdefault("JUPYTER_RUNTIME_DIR", "/tmp/jupyter-runtime")
    if language := _LOCALES.get(os.environ.get("ELABS_LANGUAGE", "")):
        os.environ["LANG"] = language
        try:
            locale.setlocale(locale.LC_CTYPE, "")
        except locale.Error:
            output.say(f"the image has no locale {language}")
    if reason := unwritable(home()):
        output.say(f"the home takes no files ({reason}); what Jupyter keeps for itself goes to /tmp until the next start")
        _elsewhere(Path(tempfile.mkdtemp(prefix="elabs-")))


def unwritable(folder: Path) -> str:
    """Why `folder` takes no file of a few kilobytes, or an empty string where it does."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 65536)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def spare() -> Path | None:
    """Where Jupyter keeps its own files while the home takes none; None while it does."""
    return Path(os.environ["ELABS_SPARE"]) if "ELABS_SPARE" in os.environ else None


def without_personal_configuration() -> bool:
    """Whether this is the second attempt, after the person's configuration kept the first from starting."""
    return _AGAIN in os.environ


def begin_without_personal_configuration() -> NoReturn:
    """Replace this process by a fresh one that leaves out Jupyter's configuration in the home."""
    os.environ |= {_AGAIN: "1", "JUPYTERHUB_DISABLE_USER_CONFIG": "1"}
    output.expose()
    os.execv(sys.executable, [sys.executable, "-s", "-P", "-m", "elabs.lab"])


def _elsewhere(folder: Path) -> None:
    os.environ["ELABS_SPARE"] = str(folder)
    for name, part in {"IPYTHONDIR": "ipython", "XDG_CACHE_HOME": "cache", "MPLCONFIGDIR": "matplotlib"}.items():
        (folder / part).mkdir()
        os.environ[name] = str(folder / part)
