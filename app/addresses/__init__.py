"""The URLs of both stores, read in one place: whoever connects to a store does it through this package."""
