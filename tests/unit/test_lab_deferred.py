"""What a lab's start does not import, and that it is all there for whoever does use it."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"

START = """
import sys
from elabs.lab import deferred
deferred.defer()
import elabs.lab.server
loaded = [name for name in ("sqlalchemy.orm", "sqlalchemy.exc", "alembic", "jupyterhub.handlers", "jupyterhub.handlers.base") if name in sys.modules]
assert not loaded, loaded
"""

USED = """
import jupyterhub.log, jupyterhub.utils
from jupyterhub.scopes import _intersect_expanded_scopes, expand_scopes
assert _intersect_expanded_scopes({"access:servers!user=a"}, {"access:servers"}) == {"access:servers!user=a"}
assert not _intersect_expanded_scopes({"access:servers!user=a"}, {"access:servers!user=b"})
assert "sqlalchemy.orm" not in sys.modules, "checking a person's scopes loads the database"
import jupyterhub.orm, sqlalchemy, sqlalchemy.exc
from jupyterhub.handlers.pages import HealthCheckHandler
from tornado.web import RequestHandler
assert issubclass(HealthCheckHandler, RequestHandler)
assert issubclass(sqlalchemy.exc.NoResultFound, sqlalchemy.exc.SQLAlchemyError)
session = jupyterhub.orm.new_session_factory("sqlite:///:memory:")()
session.add(jupyterhub.orm.User(name="lince"))
session.commit()
assert jupyterhub.orm.User.find(session, "lince").name == "lince"
from jupyterhub import roles
assert roles.get_default_roles()
"""


def test_the_hubs_database_is_not_imported_and_yet_works_for_whoever_uses_it():
    command = [sys.executable, "-s", "-P", "-c", START + USED]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
