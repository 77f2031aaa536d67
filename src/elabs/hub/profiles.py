"""What a person may pick, and the form they pick it in. Pure; the last word on a choice is the start's, not the form's."""

from html import escape

from elabs.config.model import Config
from elabs.config.units import format_bytes
from elabs.hub.text import text

FIELD = "profile"


def allowed(config: Config, member_of: set[str]) -> list[str]:
    """Names of the profiles for a member of those groups, in the order of the settings; group names are told apart as directories do, without case."""
    folded = {group.casefold() for group in member_of}
    return [name for name in config.profiles_in_order() if not (groups := config.profiles[name].groups) or folded & {group.casefold() for group in groups}]


def choose(config: Config, groups: set[str], wanted: object) -> str | None:
    """The profile that a start gets: the only one allowed, or the wanted one of several, the first where none was wanted. None: there is none, or not that."""
    names = allowed(config, groups)
    if len(names) == 1 or (names and wanted is None):
        return names[0]
    return wanted if isinstance(wanted, str) and wanted in names else None


def form(config: Config, groups: set[str], last: object) -> str:
    """HTML of the choice, with the `last` one checked; empty where there is nothing to choose."""
    names = allowed(config, groups)
    if len(names) < 2:
        return ""
    checked = last if last in names else names[0]
    choices = "".join(_choice(config, name, name == checked) for name in names)
    return f'<fieldset class="profiles"><legend>{escape(text("spawn.choose"))}</legend>{choices}</fieldset>'


def _choice(config: Config, name: str, checked: bool) -> str:
    profile, size = config.profiles[name], config.size_of(name)
    line = text("size.line", memory=format_bytes(size.memory), cpu=f"{size.cpu:g}")
    about = f"{escape(profile.description)}<br>" if profile.description else ""
    attributes = f'type="radio" name="{FIELD}" id="profile-{name}" value="{name}" required{" checked" if checked else ""}'
    return (
        f'<div class="form-check mb-3"><input class="form-check-input" {attributes}>'
        f'<label class="form-check-label" for="profile-{name}"><strong>{escape(profile.title)}</strong><br>{about}<small>{escape(line)}</small></label></div>'
    )
