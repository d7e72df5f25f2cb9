"""Checks at start: limits that must fit one another."""
