"""docs/models.md says what the reports that ship say."""

import pytest

from scripts import model_tables


def test_every_table_says_what_the_reports_say() -> None:
    page = model_tables.PAGE.read_text()
    assert model_tables.written(page) == page


@pytest.mark.parametrize("name", model_tables.TABLES)
def test_a_table_that_says_something_else_is_found(name: str) -> None:
    page = model_tables.PAGE.read_text()
    head, _, rest = page.partition(f"<!-- table: {name} -->\n")
    table, _, behind = rest.partition("<!-- end -->")
    changed = f"{head}<!-- table: {name} -->\n{table.replace('0', '1')}<!-- end -->{behind}"
    assert changed != page
    assert model_tables.written(changed) == page


def test_a_table_without_a_place_is_told() -> None:
    page = model_tables.PAGE.read_text().replace("<!-- table: bars -->", "")
    with pytest.raises(ValueError, match="no place for the table bars"):
        model_tables.written(page)
