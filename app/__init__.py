"""Sellable: knows, for every product and warehouse, how many units can still be sold."""

__version__ = "0.1.0"
"""Of the package, the HTTP interface's description and `sellable --version`."""
