"""Takes the pictures of report.html for the documentation, with the system's Chromium.

They show a real session with a controller that has several mistakes. For the group of failures, change the signer names
in DIR/sample_controller/certificate_signing_requests.py (``self._signers``). In the root of the repository::

    python -m tests.e2e.faulty DIR
    pytest --pyargs vault_issuer_conformance --vault-issuer=DIR/my-issuer.toml --vault-issuer-profile=core \\
        --vault-issuer-profile=extended --vault-issuer-select=CSRAPI --vault-issuer-select=VI-APPROLE-001 \\
        --vault-issuer-select=VI-KSECRETLESS-004 --vault-issuer-select=VI-HEALTH-003 \\
        --vault-issuer-select=VI-HEALTH-004 --vault-issuer-select=VI-SIGN-011 --vault-issuer-select=VI-SIGN-012 \\
        --vault-issuer-select=VI-TOKEN-001 -n 4 --vault-issuer-report=DIR/report
    python docs/pictures/report.py DIR/report
"""

from __future__ import annotations

import base64
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

#: A failure with login, health query and sign request.
FAILURE = "VI-KSECRETLESS-004"
#: The maximum size of a picture in bytes: a page shows several.
LARGEST = 150_000
#: Colors of a picture: the most frequent ones, and for each other color the nearest of them.
COLORS = 200
#: Decodes a picture and returns its size, its palette, and for each pixel the index of its color.
INDEXED = """async ([url, most]) => {
  const image = await createImageBitmap(await (await fetch(url)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  pixels.forEach(pixel => counts.set(pixel, (counts.get(pixel) ?? 0) + 1));
  const parts = pixel => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, most).map(([pixel]) => parts(pixel));
  const nearest = new Map();
  for (const pixel of counts.keys()) {
    const far = palette.map(color => color.reduce((sum, part, i) => sum + (part - parts(pixel)[i]) ** 2, 0));
    nearest.set(pixel, far.indexOf(Math.min(...far)));
  }
  let indexes = "";
  pixels.forEach(pixel => (indexes += String.fromCharCode(nearest.get(pixel))));
  return { size: [image.width, image.height], palette: palette.flat(), indexes: btoa(indexes) };
}"""
PLACE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """One picture: its file's name, the size of the window, and what is done before it is taken."""

    name: str
    width: int
    height: int
    prepare: Callable[[Any], object] = lambda page: None
    options: dict[str, Any] = field(default_factory=dict)


def open_failure(page: Any) -> None:
    """Show a failure from its top, and what the issuer was configured with."""
    page.goto(f"{page.url}#{FAILURE}")
    page.locator(f"#{FAILURE} .spec").first.evaluate("one => one.open = true")
    page.evaluate("document.activeElement.blur()")


def only_failures(page: Any) -> None:
    for box in page.get_by_role("checkbox").all():
        if box.get_attribute("value") not in ("failed", "error"):
            box.uncheck()
    page.evaluate("document.querySelectorAll('.requirement').forEach(one => one.open = false)")
    page.locator(".filters").evaluate("one => one.scrollIntoView()")


PICTURES = (
    Picture("report.png", 1160, 900),
    Picture("report-failure.png", 1160, 1180, open_failure),
    Picture("report-dark.png", 1160, 560, only_failures, {"color_scheme": "dark"}),
    Picture("report-phone.png", 390, 844, open_failure),
)


def take(report: Path) -> None:
    """Write the pictures of a report beside this file.

    :param report: the directory that ``--vault-issuer-report`` named.
    """
    with sync_playwright() as playwright:
        # Chromium's own sandbox is not to be had as root.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for picture in PICTURES:
            size = {"width": picture.width, "height": picture.height}
            page = browser.new_context(viewport=size, **picture.options).new_page()
            page.goto((report / "report.html").resolve().as_uri())
            picture.prepare(page)
            path = PLACE / picture.name
            path.write_bytes(with_few_colors(browser, page.screenshot()))
            print(f"{path}: {path.stat().st_size} bytes")
            if path.stat().st_size > LARGEST:
                raise SystemExit(f"{path} is larger than {LARGEST} bytes: make its window smaller")
        browser.close()


def with_few_colors(browser: Any, png: bytes) -> bytes:
    """Return a picture with a palette: a third of the bytes, and what a page of text is made of stays as it is."""
    page = browser.new_page()
    found = page.evaluate(INDEXED, [f"data:image/png;base64,{base64.b64encode(png).decode()}", COLORS])
    page.close()
    width, height = found["size"]
    indexes = base64.b64decode(found["indexes"])
    rows = b"".join(b"\0" + indexes[start : start + width] for start in range(0, width * height, width))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", bytes(found["palette"])),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


if __name__ == "__main__":
    take(Path(sys.argv[1]))
