"""JupyterLab in the person's language: where they have chosen none in its settings, the one their browser asks for first."""

from typing import Any

from jupyterlab_server.translations_handler import TranslationsHandler

_PACKS = {"es": "es_ES"}
_get: Any = TranslationsHandler.get


def follow_browsers() -> None:
    """From now on `default` in a request for translations means the browser's language, where we have a pack for it, else the site's (LANG)."""
    TranslationsHandler.get = _get_in_language  # type: ignore[method-assign]


def preferred(header: str) -> str | None:
    """`es-MX,es;q=0.9,en;q=0.8` -> `es_ES`; None where we have no pack for the first language."""
    ranked = []
    for position, part in enumerate(header.split(",")):
        tag, _, quality = part.partition(";q=")
        try:
            ranked.append((-float(quality or 1), position, tag.strip().split("-")[0].lower()))
        except ValueError:
            continue
    return _PACKS.get(min(ranked)[2]) if ranked else None


async def _get_in_language(self: Any, locale: str | None = None) -> None:
    if locale == "default":
        locale = preferred(self.request.headers.get("Accept-Language", "")) or locale
    await _get(self, locale)
