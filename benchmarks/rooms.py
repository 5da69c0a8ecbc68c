"""Print the shape of the code: rooms, floors, imports between rooms, lines, longest functions and parameter lists.

A room is a module or folder directly below ``qa_service``. Its floor is one above the highest room that it
imports. Run it in two checkouts to compare them: ``python benchmarks/rooms.py [CHECKOUT]``.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

PACKAGE = "qa_service"
FRAME = {"__main__"}
SHOWN = 10
LONG, MANY = 40, 6  # lines of a function, parameters


def room_of(module: str) -> str:
    """Return the room of a module."""
    return module.split(".")[1] if "." in module else ""


def arrows_of(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Return the pairs (importer, imported) of different rooms."""
    found = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = (room_of(module), room_of(other))
            if pair[0] != pair[1] and "" not in pair and not FRAME & {*pair}:
                found.add(pair)
    return found


def floors_of(rooms: set[str], arrows: set[tuple[str, str]]) -> dict[str, int]:
    """Return the floor of each room, from 0. Raises :class:`ValueError` if rooms import each other in a circle."""
    floors: dict[str, int] = {}
    while len(floors) < len(rooms):
        ready = {room for room in rooms - floors.keys() if all(other in floors for one, other in arrows if one == room)}
        if not ready:
            raise ValueError(f"a circle among {sorted(rooms - floors.keys())}")
        floors |= {room: max((floors[other] + 1 for one, other in arrows if one == room), default=0) for room in ready}
    return floors


def functions_of(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, lines and parameters (``self`` left out) of every function below a folder."""
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(root.parent)}:{node.name}", lines, len(set(names) - {"self", "cls"})


def lines_below(root: Path, pattern: str) -> int:
    """Return the number of lines of the files that match a pattern."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in root.rglob(pattern))


def main(checkout: Path) -> None:
    """Print all of it for a checkout."""
    sys.path.insert(0, str(checkout))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    rooms = {room_of(module) for module in graph.modules} - {""} - FRAME
    arrows = arrows_of(graph)
    floors = floors_of(rooms, arrows)
    print(f"{len(rooms)} rooms on {max(floors.values()) + 1} floors, {len(arrows)} arrows")
    for floor in range(max(floors.values()), -1, -1):
        print(f"  {floor}  {' '.join(sorted(room for room in rooms if floors[room] == floor))}")
    code = lines_below(checkout / PACKAGE, "*.py")
    print(f"{code} lines of code, {lines_below(checkout / 'tests', '*.py')} of tests")
    functions = list(functions_of(checkout / PACKAGE))
    print(f"\nlongest functions ({sum(lines > LONG for _, lines, _ in functions)} over {LONG} lines)")
    for name, lines, _ in sorted(functions, key=lambda one: -one[1])[:SHOWN]:
        print(f"  {lines:3}  {name}")
    print(f"\nlongest parameter lists ({sum(count > MANY for _, _, count in functions)} over {MANY})")
    for name, _, count in sorted(functions, key=lambda one: -one[2])[:SHOWN]:
        print(f"  {count:3}  {name}")
    print("\nwords")
    for path in (checkout / "README.md", *sorted((checkout / "docs").glob("*.md"))):
        print(f"  {len(path.read_text(encoding='utf-8').split()):5}  {path.relative_to(checkout)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
