from rich.table import Table
from rich.text import Text

from mosim.experiments.pipeline.notes import note


def test_a_table_is_markdown() -> None:
    table = Table(title="errors, raw [q, v]")
    table.add_column(Text("system", "bold"))
    table.add_column("H = 16", justify="right")
    table.add_row("reacher", "3e-9")
    table.add_section()
    table.add_row("a|b", "[red]")
    assert note(table) == (
        "**errors, raw [q, v]**\n\n| system | H = 16 |\n| --- | ---: |\n| reacher | 3e-9 |\n| a\\|b | [red] |"
    )
    assert note(table, table).count("**errors") == 2
