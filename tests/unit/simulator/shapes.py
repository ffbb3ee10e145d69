"""Shapes of JSON values: what must agree between a real client's answer and the simulator's."""

import re

_FORMS = (
    ("decimal", re.compile(r"[0-9]+")),
    ("root", re.compile(r"0x[0-9a-f]{64}")),
    ("address", re.compile(r"0x[0-9a-fA-F]{40}")),
    ("pubkey", re.compile(r"0x[0-9a-f]{96}")),
    ("signature", re.compile(r"0x[0-9a-f]{192}")),
    ("hex", re.compile(r"0x[0-9a-fA-F]*")),
)


def shape(value: object) -> object:
    """Return a value's shape: keys and, of texts, the kind of number; lists are their first element's shape.

    A list without elements has no shape to compare.
    """
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else ["anything"]
    if isinstance(value, str):
        return next((name for name, form in _FORMS if form.fullmatch(value)), "text")
    return type(value).__name__


def differences(real: object, simulated: object, path: str = "") -> list[str]:
    """Return where two shapes differ, with the path of each place; empty lists agree with any list."""
    if isinstance(real, dict) and isinstance(simulated, dict):
        found = [f"{path}.{key}: only in the real answer" for key in real.keys() - simulated.keys()]
        found += [f"{path}.{key}: only in the simulated answer" for key in simulated.keys() - real.keys()]
        for key in real.keys() & simulated.keys():
            found += differences(real[key], simulated[key], f"{path}.{key}")
        return found
    if isinstance(real, list) and isinstance(simulated, list):
        if "anything" in (real[0], simulated[0]):
            return []
        return differences(real[0], simulated[0], f"{path}[]")
    return [] if real == simulated else [f"{path}: {real} in the real answer, {simulated} in the simulated"]
