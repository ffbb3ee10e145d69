"""Observability bundle and alert-rule test suite for Ethereum staking operators."""

__version__ = "0.1.0"
