"""What the docs name exists: commands, options, settings, targets, files, routes, codes; and their JSON is JSON."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from fastapi import FastAPI
from typer.core import TyperGroup

from app.api.app import create_app
from app.api.problems import TITLES
from app.cli import cli
from app.commands.service import VARIABLES
from app.commands.settings import describe_settings
from app.settings import Settings

ROOT = Path(__file__).parents[2]
READMES = [ROOT / folder / "README.md" for folder in ("", "bench", "loadtests")]
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path for path in [*READMES, *(ROOT / "docs").glob("*.md")]}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in DOCUMENTS.items()}
ALL = "\n".join(TEXTS.values())
SETTINGS = {one.name: one for one in describe_settings({})}
# Read by commands, by tests or by the container file alone.
OTHER_VARIABLES = {*VARIABLES.values(), "SELLABLE_API_KEY"}

each_document = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def commands() -> dict[str, Any]:
    group = cast("TyperGroup", typer.main.get_command(cli))
    return dict(group.commands)


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, re.Pattern[str]]]:
    """(method, path) of the API, and of its own pages."""
    nothing: Any = None
    app: FastAPI = create_app(nothing, Settings(), nothing)
    found = [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]
    found += [("GET", "/docs"), ("GET", "/openapi.json")]
    return [(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path))) for method, path in found]


@each_document
def test_commands_and_options(text: str) -> None:
    known = commands()
    for line in re.findall(r"sellable ((?:[a-z]|--)[^`\n]*)", "\n".join(code(text))):
        name, *words = line.split("#")[0].split()
        assert name in known, f"sellable {name}"
        command = known[name]
        while isinstance(command, TyperGroup):  # the options are those of its own command
            assert words[:1] == [] or words[0] in command.commands, line
            if not words:
                break
            command, words = command.commands[words[0]], words[1:]
        options = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in words if word.startswith("--")} <= options, line


def code(text: str) -> list[str]:
    """Inline code and the lines of code blocks."""
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(?:    |\$ )(sellable .+)$", text, re.MULTILINE)


def test_there_is_no_undocumented_command() -> None:
    for name, command in commands().items():
        if not command.hidden:
            assert f"sellable {name}" in ALL or f"`{name}`" in ALL, name


@each_document
def test_settings_that_are_named(text: str) -> None:
    assert set(re.findall(r"SELLABLE_[A-Z_]+", text)) <= SETTINGS.keys() | OTHER_VARIABLES


def test_every_setting_is_described_with_its_default() -> None:
    rows = re.findall(r"^\| `(SELLABLE_\w+)` \| (.*?) \| (.*) \|$", TEXTS["docs/operations.md"], re.MULTILINE)
    assert {name: (default, what) for name, default, what in rows} == {
        one.name: (" ".join(filter(None, (one.default and f"`{one.default}`", one.unit))), one.description)
        for one in SETTINGS.values()
    }


def test_promises_have_the_numbers_that_settings_touch() -> None:
    rows = re.findall(r"^\| (\d+) \|", TEXTS["docs/promises.md"], re.MULTILINE)
    assert rows == [str(number) for number in range(1, 14)]
    assert {number for one in SETTINGS.values() for number in one.promise.split(", ") if number} <= {*rows}


def test_every_kind_of_event_is_explained() -> None:
    lua = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lua").rglob("*.lua"))
    kinds = set(re.findall(r"kind(?:, [\w.]+)? = '(\w+)'|book\(keys, args, '(\w+)'", lua))
    kinds |= {
        (kind, "") for kind in re.findall(r"\b\w+ed = '(\w+)'", lua)
    }  # of warehouse events, by their type
    table = TEXTS["docs/books.md"].split("| kind |")[1].split("\n\n")[0]
    told = {
        kind
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for kind in re.findall(r"`(\w+)`", row)
    }
    assert told == {one or other for one, other in kinds}


def test_every_duty_is_named() -> None:
    worker = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "app" / "worker").glob("*.py"))
    table = TEXTS["docs/architecture.md"].split("| duty |")[1].split("\n\n")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(re.findall(r'Duty\("(\w+)"', worker))


@each_document
def test_targets_of_make(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^\$ |=\w+ )make ([a-z][a-z-]*)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@each_document
def test_links_lead_somewhere(text: str) -> None:
    place = next(path.parent for name, path in DOCUMENTS.items() if TEXTS[name] == text)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (place / target).exists(), target


@each_document
def test_files_that_are_named(text: str) -> None:
    top = {path.name for path in ROOT.iterdir()} | {"docs"}
    for path in re.findall(r"`([\w.-]+(?:/[\w.-]*)+|[\w-]+\.yml|Dockerfile)`", text):
        if path.split("/")[0] in top and "results" not in path.split("/"):  # what a run writes
            assert (ROOT / path).exists(), path


@each_document
def test_routes_that_are_named(text: str, routes: list[tuple[str, re.Pattern[str]]]) -> None:
    for method, path in re.findall(r"\b(GET|POST|PUT|DELETE) (/[\w/.{}-]*)", text):
        assert any(known == method and pattern.fullmatch(path) for known, pattern in routes), (method, path)
    for path in re.findall(r"(/v1/[\w/.%-]+|`/[a-z.]+z?`)", text):
        assert any(pattern.fullmatch(path.strip("`")) for _, pattern in routes), path


def test_every_route_is_mentioned(routes: list[tuple[str, re.Pattern[str]]]) -> None:
    for _, pattern in routes:
        assert pattern.search(ALL), pattern.pattern


@each_document
def test_json_is_json(text: str) -> None:
    for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        json.loads(block)


@each_document
def test_codes_of_problems(text: str) -> None:
    told = set(re.findall(r'"code":"(\w+)"', text))
    told |= {
        word
        for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)
        if word in TITLES or word.startswith("lock_")
    }
    assert told <= TITLES.keys() | {"lock_id", "lock_line"}


def test_the_python_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in TEXTS["README.md"]
