"""`python -m app` is `sellable`."""

from app.cli import main

main()
