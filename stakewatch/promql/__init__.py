"""The PromQL syntax tree: parse, walk, rewrite, print, and edits that keep a person's comments and layout."""

from stakewatch.promql.durations import parse_duration, print_duration
from stakewatch.promql.editing import (
    Replacement,
    replace_threshold,
    scale_durations,
    splice,
)
from stakewatch.promql.errors import PromqlError
from stakewatch.promql.parser import parse
from stakewatch.promql.printing import print_expression
from stakewatch.promql.selection import Selector, selectors
from stakewatch.promql.traversal import children, fold, rewrite, walk, walk_with_ancestors
from stakewatch.promql.tree import Expression

__all__ = [
    "Expression",
    "PromqlError",
    "Replacement",
    "Selector",
    "children",
    "fold",
    "parse",
    "parse_duration",
    "print_duration",
    "print_expression",
    "replace_threshold",
    "rewrite",
    "scale_durations",
    "selectors",
    "splice",
    "walk",
    "walk_with_ancestors",
]
