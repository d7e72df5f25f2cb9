"""`make client-docs`: the reference of the Python client, from its docstrings, to var/client-docs."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

ROOT = Path(__file__).resolve().parent.parent


def main(out: Path = ROOT / "var" / "client-docs") -> Path:
    """Write the pages; a warning of pdoc's is an error. Answers with the first page."""
    pdoc.render.configure(docformat="markdown", footer_text="Research use only – not for diagnostic use.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc("leukolens_client", output_directory=out)
    return out / "leukolens_client.html"


if __name__ == "__main__":
    print(main(*map(Path, sys.argv[1:2])))
