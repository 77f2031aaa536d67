"""Which names may enter, and that one person has one name. What a directory holds under it is the directory's matter, what the hub can hold is ours.

Names may have spaces, accents, emoji, `@`, `%`. JupyterHub forbids `/`, and names of nothing but dots; databases hold addresses of 255 characters.
"""

import re
import unicodedata
from urllib.parse import quote, unquote

LONGEST = 200
"""Characters of a name as it stands in an address, where `ñ` takes six."""


def normal(name: str) -> str:
    """The one spelling of a name that directories would not tell apart: case, width and composition of letters, runs of spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).lower())
    return re.sub(r" +", " ", folded).strip()


def wrong(name: str) -> str | None:
    """What is wrong with a normal name, as the key of a text for people; None where it can be used."""
    if not name:
        return "name.empty"
    if not name.isprintable() or any(unicodedata.category(character) == "Cs" for character in name):
        return "name.characters"
    if "/" in name or set(unquote(name)) == {"."} or name != name.strip():
        return "name.characters"
    if len(name) > LONGEST or len(quote(name)) > LONGEST:
        return "name.long"
    return None
