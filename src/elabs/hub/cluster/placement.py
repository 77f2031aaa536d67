"""In which cluster a lab starts: what is known of the clusters of its profile -> their names in the order in which they are tried. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from elabs.config.clusters import HOME, Strategy


@dataclass(frozen=True)
class Candidate:
    """A cluster of a profile, as it is just now."""

    name: str
    price: float = 0.0
    labs: int = 0
    """Labs that run or start there."""
    most: int | None = None
    """Most labs that may be there at once."""
    refused: bool = False
    """It had no room, or did not answer, a moment ago."""

    @property
    def is_full(self) -> bool:
        """Whether one lab more would be too many; whether there is room on its nodes, only trying tells."""
        return self.most is not None and self.labs >= self.most


def order(strategy: Strategy, candidates: Sequence[Candidate]) -> list[str]:
    """Names of the clusters to try in turn; none where all are full. Of equal ones the profile's order counts, and those that just refused come last."""

    def before(one: Candidate) -> tuple[bool, float]:
        return one.refused, {"first-fit": 0.0, "spill-over": float(one.name != HOME), "cheapest": one.price}[strategy]

    return [one.name for one in sorted(candidates, key=before) if not one.is_full]
