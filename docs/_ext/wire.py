"""Draws a recording of ``wire/record.py`` as a sequence of calls: an SVG in the page, colored by the page's theme."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[1] / "wire"
TITLES = {
    "token": "a token",
    "approle": "an AppRole",
    "kubernetes-static": "a stored service account token",
    "kubernetes-secretless": "a requested service account token",
    "jwt": "a service account token at a JWT mount",
    "client-certificate": "a client certificate",
    "aws": "AWS IAM",
}
#: The position of each line by the number of parties, in units of the picture (pixels on a wide screen).
_PLACES = {2: (64, 650), 3: (64, 350, 676), 4: (64, 300, 520, 670)}
_ORDER = ("controller", "Vault", "Kubernetes", "STS")
_NAMES = {"controller": "controller", "Vault": "Vault", "Kubernetes": "API server", "STS": "AWS STS"}
_WIDTH = 736
_LINE = 15
#: Width of a character of the picture's monospaced letters.
_CHARACTER = 6.37


def picture(flow: str) -> str:
    """Return the picture of a flow, and the same in words, as Markdown."""
    recording = json.loads((RECORDINGS / f"{flow}.json").read_text(encoding="utf-8"))
    drawing = Drawing(recording)
    on = ", ".join(f"{name} {version.lstrip('v')}" for name, version in sorted(recording["stack"].items()))
    caption = f"Recorded: {recording['controller']}, {on}. What is random is replaced by a word."
    return (
        "```{raw} html\n"
        f'<figure class="wire">{drawing.svg(flow)}<figcaption>{escape(caption)}</figcaption></figure>\n'
        f"<details><summary>The same in words</summary>{in_words(recording)}</details>\n"
        "```"
    )


def architecture() -> str:
    """Return the picture of what takes part in a session, as Markdown."""
    svg = (RECORDINGS.parent / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    return f'```{{raw}} html\n<figure class="picture">{svg}</figure>\n```'


def in_words(recording: dict[str, Any]) -> str:
    """Return the calls as a list, for who cannot see the picture."""
    return "".join(f"<p>{heading}</p>{_listed_calls(steps)}" for heading, steps in _parts(recording))


def _listed_calls(steps: list[dict[str, Any]]) -> str:
    items = []
    for step in steps:
        sent = ", with " + "; ".join(map(str.strip, _sent(step))) if _sent(step) else ""
        during = f"Meanwhile: {_listed_calls(step['meanwhile'])}" if step.get("meanwhile") else ""
        items.append(
            f"<li>{_NAMES[step['from']]} to {_NAMES[step['to']]}: <code>{escape(step['call'])}</code>{escape(sent)}. "
            f"{during}Response: {escape(_received(step))}.</li>"
        )
    return f"<ol>{''.join(items)}</ol>"


def _parts(recording: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [("until the Issuer is Ready", recording["ready"]), ("for one certificate", recording["signing"])]


@dataclass
class Drawing:
    """Places the calls of a recording from top to bottom."""

    recording: dict[str, Any]

    def __post_init__(self) -> None:
        steps = [step for _, part in _parts(self.recording) for step in part]
        steps += [meanwhile for step in steps for meanwhile in step.get("meanwhile", ())]
        present = {party for step in steps for party in (step["from"], step["to"])}
        parties = [party for party in _ORDER if party in present]
        self._at = dict(zip(parties, _PLACES[len(parties)], strict=True))
        self._y = 52
        self._shapes: list[str] = []

    def svg(self, flow: str) -> str:
        """Return the picture."""
        for heading, steps in _parts(self.recording):
            self._heading(heading)
            for step in steps:
                self._call(step)
        height = self._y + 6
        lanes = "".join(
            f'<line class="lane" x1="{x}" y1="34" x2="{x}" y2="{height}"/>'
            f'<rect class="party" x="{x - 46}" y="6" width="92" height="28" rx="6"/>'
            f'<text class="name" x="{x}" y="25">{_NAMES[party]}</text>'
            for party, x in self._at.items()
        )
        title = f"What is on the wire when a controller authenticates with {TITLES[flow]}"
        return (
            f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
            f"{_arrowhead()}{lanes}{''.join(self._shapes)}</svg>"
        )

    def _heading(self, text: str) -> None:
        self._y += 12
        self._shapes.append(
            f'<line class="rule" x1="0" y1="{self._y}" x2="{_WIDTH}" y2="{self._y}"/>'
            f'<text class="part" x="{_WIDTH}" y="{self._y + 15}">{escape(text)}</text>'
        )
        self._y += 26

    def _call(self, step: dict[str, Any]) -> None:
        start, end = self._at[step["from"]], self._at[step["to"]]
        left, width = min(start, end) + 10, abs(end - start) - 20
        for line in _wrapped(step["call"], width):
            self._text("call", left, line)
        self._y += 5
        self._arrow("ask", start, end)
        for item in _sent(step):
            for line in _wrapped(item, width):
                self._text("sent", left, line)
        self._y += 2
        for meanwhile in step.get("meanwhile", ()):
            self._y += 6
            self._call(meanwhile)
            self._y -= 6
        for line in _wrapped(_received(step), width):
            self._text("received", left, line)
        self._y += 5
        self._arrow("reply", end, start)
        self._y += 10

    def _text(self, kind: str, x: float, text: str) -> None:
        self._y += _LINE
        self._shapes.append(f'<text class="{kind}" x="{x}" y="{self._y}">{escape(text)}</text>')

    def _arrow(self, kind: str, start: float, end: float) -> None:
        tip = end - 2 if end > start else end + 2
        line = f'<line class="{kind}" x1="{start}" y1="{self._y}" x2="{tip}" y2="{self._y}"'
        self._shapes.append(f'{line} marker-end="url(#wire-{kind})"/>')


def _arrowhead() -> str:
    shape = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
    tips = (
        f'<marker id="wire-{kind}" class="{kind}" {shape}><path d="M0 0 L8 4 L0 8 z"/></marker>'
        for kind in ("ask", "reply")
    )
    return f"<defs>{''.join(tips)}</defs>"


def _wrapped(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, int(width / _CHARACTER), subsequent_indent="  ", break_on_hyphens=False) or [""]


def _sent(step: dict[str, Any]) -> list[str]:
    lines = [f"on a connection that presents {step['presents']}"] if step["presents"] else []
    for name, value in step["sends"].items():
        if name == "jwt" and isinstance(value, dict):
            audiences = _listed(value["aud"]) or "no audience in particular"
            lines += ["jwt: a token of", f"  {value['sub']}", f"  for {audiences}"]
            lifetime = value["lifetime_s"]
            lines.append(f"  that is valid for {lifetime:g} s" if lifetime else "  that does not expire")
        else:
            lines.append(f"{name}: {_shown(value)}")
    return lines


def _received(step: dict[str, Any]) -> str:
    values = ", ".join(f"{name}: {_shown(value)}" for name, value in step["receives"].items())
    return f"{step['status']}  {values}".rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and value == ["<PEM>"] * len(value):
        return f"{len(value)} certificates" if len(value) > 1 else "1 certificate"
    if isinstance(value, list):
        return _listed(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
