"""Mutation: small changes to rules, each of which a good test suite notices."""
