"""What people read holds no secret, runs no formula, and says who changed what."""

import csv
import io
from pathlib import Path

import pytest

from app.commands.acting import acting_as
from app.commands.replay_plan import Document
from app.commands.replay_report import opened_report
from app.commands.settings import describe_settings
from app.domain.reconciliation import Discrepancy
from app.files.formulas import as_text
from app.operations.reports.lines import _lines, _row
from app.settings import Settings

SECRET = "s3cret"
SETTINGS = {
    "SELLABLE_DATABASE_URL": [
        "postgresql://u:s3cret@h/d", "postgresql:///d?password=s3cret", "postgresql:///d?PASSWORD=s3cret",
        "postgresql:///d?pass%77ord=s3cret", "host=h password=s3cret", "s3cret", "postgresql://u:s3cret#@h/d",
        "postgresql://h/d?sslpassword=s3cret&user=u", "postgresql://u:s3/cret@h,u2:s3cret@h2/d", "u:s3cret@h",
    ],
    "SELLABLE_REDIS_URL": ["redis://:s3cret@h", "unix://:s3cret@/x?db=0", "unix:///x?password=s3cret", "s3cret",
        "rediss://h/0?ssl_password=s3cret",
    ],
    "SELLABLE_API_KEYS": ["shop:s3cret:read", "s3cret"],
}  # fmt: skip


@pytest.mark.parametrize("variable", SETTINGS)
def test_settings_show_no_secret(variable: str) -> None:
    for value in SETTINGS[variable]:
        shown = {one.name: one.value for one in describe_settings({variable: value})}[variable]
        assert shown
        assert SECRET not in shown, value
        assert "cret" not in shown, value


def test_every_setting_that_names_a_secret_is_masked() -> None:
    secret = {"api_keys"}
    assert {name for name in Settings.model_fields if "key" in name or "password" in name} == {
        *secret,
        "api_keys_file",
    }


def test_cells_of_reports_are_no_formulas() -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    assert [as_text(cell) for cell in formulas] == [f"'{cell}" for cell in formulas]
    assert [as_text(cell) for cell in (-1, "a=1", "", None, "85123A")] == [-1, "a=1", "", None, "85123A"]


def test_reports_quote_what_came_from_outside(tmp_path: Path) -> None:
    one = Discrepancy("=HYPERLINK(1)", "on_hand", "less", "unexplained", {}, 3, 1, -2, "proposed")
    (row,) = csv.reader(io.StringIO(_lines([_row(one)])))
    assert row[0] == "'=HYPERLINK(1)"
    assert "-2" in row
    file = tmp_path / "report.csv"
    document = Document("@order", "order", 2, 0.0, 1, (), None)  # type: ignore[arg-type]
    with opened_report(file) as report:
        report.add(document, "refused", "=why", lambda _line: None)
    assert list(csv.reader(io.StringIO(file.read_text())))[1] == ["2", "'@order", "order", "refused", "'=why"]


def test_a_change_by_a_command_says_who_runs_it() -> None:
    assert acting_as("import-stock").startswith("sellable import-stock (")
