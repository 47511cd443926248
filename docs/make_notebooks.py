"""docs/notebooks/*.html, the notebooks as they look when run: `python docs/make_notebooks.py`. A test keeps them in step."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

PLACE = Path(__file__).parent
VIDEO = re.compile(r'<video[^>]*?poster="([^"]+)"[^>]*>.*?</video>', re.DOTALL)
STYLE = """\
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui, sans-serif; line-height: 1.5; }
pre { overflow-x: auto; } img { max-width: 100%; }
.highlight pre { background: #f6f6f4; padding: .6rem .8rem; border-radius: 4px; }
.jp-OutputPrompt, .jp-InputPrompt, .prompt, .anchor-link { display: none; }
"""


def page(notebook: Path, folder: Path) -> str:
    """A notebook run in a folder, as a page that stands alone: a film is shown by its first picture.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    read = nbformat.read(notebook, 4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(read, timeout=300, kernel_name="python3", resources=where).execute()
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(read)
    body = VIDEO.sub(r'<img src="\1" alt="first picture of the film">', body)
    body = body.replace(f"{folder}/", "").replace(str(folder), ".")
    css = STYLE + HtmlFormatter().get_style_defs(".highlight")
    title = notebook.stem.replace("_", " ")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{css}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def main() -> None:
    """Run all in one folder, as a user does who goes through them."""
    os.environ["KUBECONFIG"] = "none"
    (PLACE / "notebooks").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for notebook in sorted((PLACE.parent / "notebooks").glob("*.ipynb")):
            text = page(notebook, Path(folder).resolve())
            target = PLACE / "notebooks" / f"{notebook.stem}.html"
            target.write_text(text, encoding="utf-8")
            print(f"{target.name}: {len(text) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
