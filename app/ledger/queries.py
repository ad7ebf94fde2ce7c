"""The statements of `sql/queries/`, a file each, named as what they do."""

from functools import cache

from sqlalchemy import TextClause, text

from app import resources


@cache
def sql(name: str) -> str:
    """Return a statement's text; raise `FileNotFoundError` for an unknown name."""
    return (resources.folder("sql") / "queries" / f"{name}.sql").read_text(encoding="utf-8").strip()


@cache
def sql_of_found(name: str, source: str) -> str:
    """Return a statement about the rows of another one, which it calls `found`."""
    return f"WITH found AS (\n{sql(source)}\n)\n{sql(name)}"


@cache
def statement(name: str) -> TextClause:
    """Return a statement with named parameters, for SQLAlchemy."""
    return text(sql(name))
