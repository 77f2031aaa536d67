"""What a lab's own token says at the hub: who its person is, and that it is active. Nothing of others, nothing of the hub."""

from collections.abc import Callable

from tests.isolation.conftest import Person
from tests.live import Live

Attack = Callable[..., str]

ASK = """
import json, os, urllib.error, urllib.request
def token():
    for process in os.listdir('/proc'):
        try:
            for entry in open(f'/proc/{process}/environ').read().split(chr(0)):
                if entry.startswith('JUPYTERHUB_API_TOKEN='): return entry.partition('=')[2]
        except OSError: pass
    return os.environ.get('JUPYTERHUB_API_TOKEN', '')
def api(method, path, body=None):
    request = urllib.request.Request('http://GATEWAY:8081/hub/api/' + path, method=method, data=json.dumps(body).encode() if body is not None else None, headers={'Authorization': 'token ' + TOKEN})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer: return answer.status
    except urllib.error.HTTPError as error: return error.code
"""


def test_a_labs_token_is_for_its_lab(live: Live, hostile: Person, attack: Attack, victim: Person) -> None:
    ask = ASK.replace("GATEWAY", live.instance.gateway)
    found = attack(ask + "TOKEN = token()\nprint(len(TOKEN) > 16, api('GET', 'user'))")
    # a token that the lab's processes do not show is as good as one that says nothing
    if found.startswith("False"):
        assert found == "False 403"
        return
    assert found == "True 200"
    tries = [
        ("GET", "users", None),
        ("GET", "users/lince", None),
        ("GET", "info", None),
        ("GET", "proxy", None),
        ("GET", "groups", None),
        ("GET", "services", None),
        ("POST", "users/spider", {}),
        ("PATCH", "users/colibri", {"admin": True}),
        ("POST", "users/lince/server", {}),
        ("DELETE", "users/lince/server", None),
        ("POST", "users/lince/tokens", {}),
        ("POST", "users/colibri/tokens", {"roles": ["admin"]}),
        ("POST", "users/admin/tokens", {}),
        ("POST", "shutdown", {}),
        ("POST", "users/lince/activity", {"servers": {"": {"last_activity": "2030-01-01T00:00:00Z"}}}),
    ]
    answers = attack(ask + f"TOKEN = token()\nprint([api(*one) for one in {tries!r}])")
    refused = dict(zip([f"{method} {path}" for method, path, _ in tries], eval(answers), strict=True))
    assert {what: status for what, status in refused.items() if status not in (403, 404)} == {}


def test_a_person_is_not_another(live: Live, hostile: Person, victim: Person) -> None:
    for path in ("/user/lince/lab", "/user/lince/api/kernels", "/user/lince/files/secret.txt", "/hub/admin"):
        assert hostile.visit.get(path).status_code in (403, 404), path
    assert victim.visit.api("GET", "kernels").status_code == 200
