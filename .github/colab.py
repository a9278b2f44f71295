"""The chapters as notebooks for Colab: python .github/colab.py FOLDER REQUIREMENT.

Each begins by installing REQUIREMENT, what pip is to install blurpaper from, and shows the
committed results, which takes seconds; its parameters say how to compute them instead.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def for_colab(script: Path, requirement: str) -> nbformat.NotebookNode:
    """A chapter as a notebook that installs what it needs."""
    notebook = jupytext.read(script)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(
                r"^published = False$",
                "published = True  # False computes; profile smoke takes minutes",
                cell.source,
                flags=re.M,
            )
    install = nbformat.v4.new_code_cell(f'%pip install --quiet "blurpaper @ {requirement}"')
    notebook.cells.insert(0, install)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    return notebook


def main(folder: Path, requirement: str) -> None:
    """Write all chapters to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for script in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py")):
        jupytext.write(for_colab(script, requirement), folder / f"{script.stem}.ipynb")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
