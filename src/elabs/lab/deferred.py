"""A third of what a start imports is the hub's own: its database and its pages, which a lab never touches. Here they wait until somebody does.

What LATER names becomes the real module at its first use, so nothing can go missing. Two of JupyterHub's modules take single names out of such modules while
they are imported themselves; for those two imports, and no longer, something stands in.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

LATER = ("sqlalchemy", "jupyterhub.orm", "jupyterhub.roles")


class Unused(Exception):
    """In place of a class that a lab only ever compares with: the database's error, and the handler of the hub's health check."""


def defer() -> None:
    """Before JupyterHub is imported: put off what LATER names."""
    for name in LATER:
        if name not in sys.modules:
            _put_off(name)
    with _standing_in("sqlalchemy.exc", SQLAlchemyError=Unused):
        importlib.import_module("jupyterhub.utils")
    with _standing_in("jupyterhub.handlers"), _standing_in("jupyterhub.handlers.pages", HealthCheckHandler=Unused):
        importlib.import_module("jupyterhub.log")


class _Later(ModuleType):
    """A module that is imported when somebody asks it for anything."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._import(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._import(), name, value)

    def _import(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


def _put_off(name: str) -> None:
    module = sys.modules[name] = _Later(name)
    package, _, part = name.rpartition(".")
    if package:
        setattr(importlib.import_module(package), part, module)


@contextmanager
def _standing_in(name: str, **content: object) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
