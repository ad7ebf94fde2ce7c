"""Sellable: knows, for every product and warehouse, how many units can still be sold."""
