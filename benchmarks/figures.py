"""Every benchmark's figures in one table.

python -m benchmarks.figures     prints what the benchmarks have written since the file was last removed
"""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

FILE = Path(__file__).parent / "figures.jsonl"
"""Git-ignored; `make bench` removes it first."""

WIDTH = 160


def publish(benchmark: str, table: Table) -> None:
    """Print a table whose first column names what was measured, and add it to the file."""
    Console(width=WIDTH).print(table)
    columns = [str(column.header) for column in table.columns]
    rows = list(zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True))
    with FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"benchmark": benchmark, "columns": columns, "rows": rows}) + "\n")


def gathered() -> Table:
    """One table of all that was published."""
    table = Table("benchmark", "what", "figures", title="all benchmarks")
    for line in FILE.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for number, row in enumerate(entry["rows"]):
            pairs = zip(entry["columns"][1:], row[1:], strict=True)
            figures = "; ".join(f"{column} {cell}" for column, cell in pairs if cell)
            table.add_row("" if number else entry["benchmark"], row[0], figures)
        table.add_section()
    return table


if __name__ == "__main__":
    Console(width=WIDTH).print(gathered())
