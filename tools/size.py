"""How large the house is: `make size`, or `python tools/size.py`.

Code lines leave out docstrings, comments and blank lines; they are counted as the repository is
formatted (`ruff format` at 100 columns). A room is a package or a module right below
`blurpaper/`; which imports which, the contract in pyproject.toml holds.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE,
    tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source: str) -> int:
    """Lines that hold code."""
    documented = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        line
        for token in tokens
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(lines - documented)


def python_files(folder: str) -> list[Path]:
    """Every Python file below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


# --- Rooms ----------------------------------------------------------------------------------------


def rooms() -> dict[str, set[str]]:
    """Each room with those that it imports, at the top of a module or inside a function."""
    found: dict[str, set[str]] = {}
    for path in python_files("blurpaper"):
        room = path.relative_to(ROOT / "blurpaper").parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            imported = _imports(ast.parse(path.read_text("utf-8")))
            found.setdefault(room, set()).update(imported)
    return {room: (used & found.keys()) - {room} for room, used in found.items()}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("blurpaper."))


def longest_chain(uses: dict[str, set[str]]) -> list[str]:
    """Rooms each of which imports the next: as many as there are, or a circle."""
    chains: dict[str, list[str]] = {}
    try:
        for room in TopologicalSorter(uses).static_order():  # those it imports come before it
            below = (chains[used] for used in sorted(uses[room]))
            chains[room] = [room, *max(below, key=len, default=[])]
    except CycleError as error:
        return error.args[1][::-1]
    return max(chains.values(), key=len)


# --- Notebooks and tests --------------------------------------------------------------------------


def cells(source: str) -> Iterator[tuple[bool, int]]:
    """Of each code cell of a percent script: whether a reader sees its code, and its lines."""
    for head, body in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", source, flags=re.M):
        if "[markdown]" not in head:
            hidden = re.search(r"remove-cell|remove-input|hide-input|hide-cell|parameters", head)
            yield not hidden, sum(1 for line in body.splitlines() if line.strip())


def tests() -> int:
    """Test functions, however many cases each has."""
    return sum(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    )


def main() -> None:
    """Print all sizes."""
    library = python_files("blurpaper")
    uses = rooms()
    chain = longest_chain(uses)
    chapters = [
        cell for path in python_files("notebooks") for cell in cells(path.read_text("utf-8"))
    ]
    prompts = sum(path.read_text("utf-8").count(">>> ") for path in library)
    print(f"modules    {len(library)} in {len(uses)} rooms")
    print(f"code       {sum(code_lines(path.read_text('utf-8')) for path in library):,} lines")
    print(f"chain      {len(chain)} rooms: {' -> '.join(chain)}")
    shown = sum(lines for seen, lines in chapters if seen)
    hidden = sum(lines for seen, lines in chapters if not seen)
    print(
        f"notebooks  {len(python_files('notebooks'))}, {shown} lines of code shown, {hidden} hidden"
    )
    lines = sum(code_lines(path.read_text("utf-8")) for path in python_files("tests"))
    print(f"tests      {tests()} functions, {lines:,} lines; {prompts} lines of examples")


if __name__ == "__main__":
    main()
