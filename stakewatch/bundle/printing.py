"""Plain data as YAML that a person can read: what is built, and never read back by us."""

from typing import Any

import yaml

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and what stands in two places twice."""

    def represent_text(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature of the base class
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def as_yaml(*documents: Any, heading: str = "") -> str:  # noqa: ANN401 - whatever YAML can write
    """Return the documents as YAML, keys in the order given, below `heading` as comments."""
    body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines()) + body
