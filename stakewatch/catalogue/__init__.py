"""The catalogue: which metrics, labels and types every component really has."""

from stakewatch.catalogue.components import Component, Metric, Pattern
from stakewatch.catalogue.inventory import Catalogue, load_catalogue

__all__ = ["Catalogue", "Component", "Metric", "Pattern", "load_catalogue"]
