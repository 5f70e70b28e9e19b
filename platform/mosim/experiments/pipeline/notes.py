"""What a run's page in MLflow says of it: the tables that the terminal shows, in Markdown."""

from rich.table import Table
from rich.text import Text

from mosim.core.console import console
from mosim.tracking import OFF, ui_command


def note(*tables: Table) -> str:
    """Tables one after the other, each under its title."""
    return "\n\n".join(_markdown(table) for table in tables)


def print_tracking(tracking_uri: str) -> None:
    """Says where runs are tracked, and how to look at them."""
    console.print(f"MLflow        {tracking_uri}")
    if tracking_uri != OFF:
        console.print(f"open it with  {ui_command(tracking_uri)}")


def _markdown(table: Table) -> str:
    columns = [[_plain(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    head, *rows = zip(*columns, strict=True)
    ruler = ["---:" if column.justify == "right" else "---" for column in table.columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)]
    return f"**{_plain(table.title or '')}**\n\n" + "\n".join(lines)


def _plain(cell: object) -> str:
    words = cell.plain if isinstance(cell, Text) else str(cell)
    return words.strip().replace("|", "\\|")
