"""Ask questions on the cells of tables, and print by format how often the right row and the right cell are quoted.

    python benchmarks/tables.py [--formats markdown pdf-gaps …] [--misses]

The tables and their sixty questions are those of ``tests/data/tables.jsonl``; each format holds all of them, in an
index of its own, with the default settings. ``mixed`` is the index of the test: each table in another format.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import answerer_for, setup

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import table_files

MIXED = "mixed"


def main() -> None:
    """Write, build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="*", default=[MIXED, *table_files.FORMATS])
    parser.add_argument("--misses", action="store_true", help="print the questions whose row or cell is not quoted")
    options = parser.parse_args()
    print(setup())
    print(f"{'format':10} {'questions':>9} {'row':>5} {'cell':>5} {'seconds':>8}")
    tables = table_files.tables()
    for form in options.formats:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            table_files.write(Path(folder, "source"), tables, "" if form == MIXED else form)
            asked = list(table_files.ask(answerer_for(Path(folder, "source"), Path(folder, "index")), tables))
        rows, cells = sum(one.row for one in asked), sum(one.cell for one in asked)
        print(f"{form:10} {len(asked):9} {rows:5} {cells:5} {time.monotonic() - started:8.1f}", flush=True)
        for one in asked:
            if options.misses and not one.cell:
                print(f"    {'cell' if one.row else 'row '} {one.table.name}: {one.question}")
                print(f"         {one.words!r} in {one.quote!r}")


if __name__ == "__main__":
    main()
