"""Places the built documentation of one version into the site, beside those of the other versions.

Run: python tools/place_docs.py SITE HTML VERSION, where VERSION is that of a release, or main. The site has a directory
per version, ``versions.html`` with a list of them, and ``index.html``, which leads to the newest release.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

#: The documentation of what is not released yet.
MAIN = "main"
PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>{head}</head>
<body>{body}</body>
</html>
"""


def place(site: Path, html: Path, version: str) -> None:
    """Replace one version in a site, and write the pages that name all of them.

    :param html: the directory that Sphinx wrote.
    :raises ValueError: if it is no documentation, or the version is neither a release nor main.
    """
    if version != MAIN and not _is_release(version):
        raise ValueError(f"{version!r} is not a release such as 1.2.0, and not {MAIN}")
    if not (html / "index.html").is_file():
        raise ValueError(f"{html} contains no index.html")
    shutil.rmtree(site / version, ignore_errors=True)
    shutil.copytree(html, site / version, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo*"))
    found = versions(site)
    refresh = f'<meta http-equiv="refresh" content="0; url={found[0]}/">'
    (site / "index.html").write_text(_page(refresh, f'<a href="{found[0]}/">Documentation</a>'))
    (site / "versions.html").write_text(_page("", "<h1>Versions</h1><ul>" + "".join(_entries(found)) + "</ul>"))
    (site / ".nojekyll").touch()  # GitHub Pages leaves out _static without this file


def versions(site: Path) -> list[str]:
    """Return the versions in a site: the newest release first, then release candidates, then main."""
    present = [path.name for path in site.iterdir() if (path / "index.html").is_file()]
    releases = sorted(filter(_is_release, present), key=_age, reverse=True)
    return [*releases, *([MAIN] if MAIN in present else [])]


def _age(version: str) -> tuple[bool, Version]:
    """Return what versions are sorted by: release candidates come before every release."""
    return not Version(version).is_prerelease, Version(version)


def _is_release(text: str) -> bool:
    try:
        return not Version(text).is_devrelease and str(Version(text)) == text
    except InvalidVersion:
        return False


def _entries(found: list[str]) -> Iterator[str]:
    for number, version in enumerate(found):
        remark = " (not released)" if version == MAIN else " (newest)" if number == 0 else ""
        yield f'<li><a href="{version}/">{version}</a>{remark}</li>'


def _page(head: str, body: str) -> str:
    return PAGE.format(title="pytest-vault-issuer", head=head, body=body)


def main(words: list[str]) -> int:
    """Place what the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("html", type=Path)
    parser.add_argument("version")
    options = parser.parse_args(words)
    try:
        place(options.site, options.html, options.version)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
