"""Pages: results as one HTML file that needs no other."""

from pathlib import Path

import jinja2

from stakewatch.errors import StakewatchError


def print_page(template: str, *, package: str = "stakewatch.rules", **content: object) -> str:
    """Return a template of a room filled in; all that comes from rules, tests and servers is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**content)


def write_page(page: str, path: Path) -> None:
    """Write a page; raises StakewatchError when the file cannot be written."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StakewatchError(
            f"the page cannot be written: {error.strerror}", where=str(path), mend="name another file"
        ) from error
