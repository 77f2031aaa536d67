"""Sizes as Kubernetes writes them, in which `G` is 10⁹ and `Gi` 2³⁰; ours are read by `elabs.config.units`."""

_UNITS = {
    **{f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGTP", start=1)},
    **{unit: 10 ** (3 * power) for power, unit in enumerate("kMGTP", start=1)},
}


def quantity(written: str) -> int | None:
    """Bytes of `5368709120`, `5Gi` or `5G`; None for what is no size."""
    unit = next((unit for unit in _UNITS if written.endswith(unit)), "")
    try:
        return int(float(written.removesuffix(unit)) * _UNITS[unit]) if unit else int(written)
    except ValueError:
        return None
