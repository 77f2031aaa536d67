"""What a person does, run inside the guest with elabs' own environment: over the web, as a browser would.

person.py begin NAME   starts a lab, with a variable in a kernel's memory and a file in the home; prints {"kernel": ID, "pid": the lab's first process}
person.py begin NAME   starts a lab, with a variable in a kernel's memory and a file in the home; prints {"kernel": ID, "pid": its first process}
                       "ended": why the last lab ended or null, "file": what the file says or null}
"""

import json
import re
import socket
import sys
from typing import Any

from elabs.cli.visit import Visit
from elabs.config.state import DEFAULT_STATE, State

WORDS = "three blue eggs"


def ask(state: State, **request: Any) -> dict[str, Any]:
    """The daemon's answer to root."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(300)
        line.connect(str(state.socket))
        line.sendall(json.dumps(request).encode() + b"\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    last: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return last


def visit(state: State, name: str) -> Visit:
    """The person's browser, logged in."""
    passwords = dict(re.findall(r"^(\w+)\s+(\S+)", state.demo_accounts.read_text(), re.MULTILINE))
    listen = json.loads(state.config.read_text())["site"]["listen"]
    browser = Visit(f"http://{listen}", name, passwords[name])
    browser.login()
    return browser


def pid(state: State, name: str) -> int | None:
    """The lab's first process, as this machine numbers it."""
    file = state.run / "labs" / name / "pid"
    return int(file.read_text()) if file.exists() else None


def begin(state: State, name: str) -> dict[str, Any]:
    browser = visit(state, name)
    browser.start()
    browser.enter()
    kernel = browser.kernel()
    browser.run(kernel, f"kept = {WORDS!r}; open('/home/{name}/kept.txt', 'w').write(kept)", 600)
    return {"kernel": kernel, "pid": pid(state, name)}


def look(state: State, name: str) -> dict[str, Any]:
    browser = visit(state, name)
    running = browser.server() is not None
    kernels = {}
    if running:
        browser.enter()
        kernels = {each["id"]: browser.run(each["id"], "print(kept)", 600).text.strip() for each in browser.api("GET", "kernels").json()}
    file = state.homes / name / "kept.txt"
    ended = ask(state, verb="ended", person=name).get("ok") or {}
    return {"server": running, "kernels": kernels, "pid": pid(state, name), "ended": ended.get("reason"), "file": file.read_text() if file.exists() else None}


if __name__ == "__main__":
    print(json.dumps({"begin": begin, "look": look}[sys.argv[1]](State(DEFAULT_STATE), sys.argv[2])))
