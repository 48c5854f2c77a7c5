"""The plot: milliseconds by percentile, a line for each controller."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from .result import Phase, Result

_WIDTH, _HEIGHT, _LEFT, _TOP = 380, 260, 60, 50
_GAP = 90
#: A palette that color-blind people can distinguish (Okabe and Ito), and dashes.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


def render(results: Sequence[Result]) -> str:
    """Return an SVG with a panel for Issuers and one for requests."""
    width = 2 * (_LEFT + _WIDTH) + _GAP
    height = _TOP + _HEIGHT + 60 + 20 * len(results)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12" role="img">',
        f"<title>{_text(' and '.join(result.name for result in results))}: latencies</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_panel("Issuer Ready", [result.ready for result in results], _LEFT),
        *_panel("CertificateRequest issued", [result.signed for result in results], 2 * _LEFT + _WIDTH + _GAP // 2),
    ]
    for number, result in enumerate(results):
        y = _TOP + _HEIGHT + 55 + 20 * number
        parts.append(f'<path d="M{_LEFT} {y - 4}h30" {_stroke(number)}/>')
        parts.append(
            f'<text x="{_LEFT + 40}" y="{y}">{_text(result.name)}: {result.signed.rate:.1f} requests/s, '
            f"{result.signed.asked_each:.2f} requests to Vault each</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, phases: Sequence[Phase], left: int) -> list[str]:
    top = _nice(max(phase.seconds[-1] for phase in phases) * 1000)
    bottom = _TOP + _HEIGHT
    parts = [f'<text x="{left}" y="{_TOP - 20}" font-size="15">{title}, ms by percentile</text>']
    for step in range(5):
        y = bottom - _HEIGHT * step / 4
        parts.append(f'<path d="M{left} {y:.1f}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{top * step / 4:g}</text>')
        x = left + _WIDTH * step / 4
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{25 * step}%</text>')
    for number, phase in enumerate(phases):
        points = " ".join(
            f"{left + _WIDTH * percent / 100:.1f},{bottom - _HEIGHT * phase.percentile(percent) * 1000 / top:.1f}"
            for percent in range(101)
        )
        parts.append(f'<polyline points="{points}" fill="none" {_stroke(number)}/>')
    return parts


def _nice(value: float) -> float:
    """Return the next round number, for the end of an axis."""
    magnitude: float = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in (1, 2, 4, 8, 10) if step * magnitude >= value)


def _stroke(number: int) -> str:
    dashes = _DASHES[number % len(_DASHES)]
    color = _COLORS[number % len(_COLORS)]
    return f'stroke="{color}" stroke-width="2"' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def _text(value: str) -> str:
    return html.escape(value)
