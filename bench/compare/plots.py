"""Two plots as SVG, written by hand: how much better than each other engine, and how much of the machine. A dot for each engine."""
import math
from dataclasses import dataclass
from html import escape

import report
from peers import OURS

COLORS = ["#1f5fa8", "#7fb2e5", "#d1495b", "#edae49", "#3c8d5a", "#8a5fb0", "#6b6b6b"]
WIDTH, LEFT, RIGHT, ROW, TOP = 860, 270, 30, 20, 64


@dataclass
class Axis:
    """`position`: from 0 (left) to 1. `ticks`: (value, what stands there); the one of `mark` is drawn strongly."""

    position: object
    ticks: list
    mark: float


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="#222222">'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, color="#dddddd", width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def dot(x, y, peer, peers, words=None):
    color = COLORS[peers.index(peer) % len(COLORS)]
    about = f"<title>{escape(words)}</title>" if words else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}">{about}</circle>'


def legend(groups, peers):
    parts, x = [], 12.0
    for peer in peers:
        if any(peer == p for _, rows in groups for _, points in rows for p, _ in points):
            parts += [dot(x + 5, 42, peer, peers), text(x + 15, 46, peer)]
            x += 34 + 7.2 * len(peer)
    return parts


def draw(title, groups, peers, axis, shown):
    """`groups`: [(title, [(label, [(peer, value)])])]; `shown`: what a value is called; None of nothing."""
    if not groups:
        return None
    bottom = TOP + sum(ROW * (len(rows) + 1.4) for _, rows in groups)
    height = bottom + 28

    def at(value):
        return LEFT + axis.position(value) * (WIDTH - LEFT - RIGHT)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" role="img">',
             f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
             text(12, 22, title, size=15, weight="bold"), *legend(groups, peers)]
    for value, words in axis.ticks:
        strong = ("#222222", 1.5) if value == axis.mark else ()
        parts += [line(at(value), TOP, at(value), bottom, *strong), text(at(value), bottom + 16, words, "middle")]
    y = TOP
    for group, rows in groups:
        y += ROW
        parts.append(text(12, y, group, weight="bold"))
        for label, points in rows:
            y += ROW
            parts += [text(LEFT - 12, y, label, "end"), line(LEFT, y - 4, WIDTH - RIGHT, y - 4, "#f0f0f0")]
            parts += [dot(at(value), y - 4, peer, peers, f"{peer}: {shown(value)}") for peer, value in points]
        y += 0.4 * ROW
    return "\n".join([*parts, "</svg>"]) + "\n"


def values_of(groups):
    return [value for _, rows in groups for _, points in rows for _, value in points]


def ratio_groups(results, titles):
    """By model and measurement: ours over each other engine."""
    groups = []
    for model in results.models():
        rows = []
        for what in report.columns_of(results, model):
            ours = results.summary(model, OURS[0], what)
            points = [(peer, results.summary(model, peer, what)) for peer in results.peers() if peer not in OURS]
            points = [(peer, report.ratio(what, ours.median, summary.median)) for peer, summary in points if ours and summary]
            if points:
                rows.append((report.HEADINGS[what], points))
        if rows:
            groups.append((titles.get(model, model), rows))
    return groups


def ratio_plot(results, titles):
    """On an axis of powers of two."""
    groups = ratio_groups(results, titles)
    powers = [math.log2(value) for value in values_of(groups)]
    low, high = math.floor(min([0, *powers])), math.ceil(max([1, *powers]))
    ticks = [(2.0**power, f"{2.0 ** power:g}x") for power in range(low, high + 1)]
    axis = Axis(lambda value: (math.log2(value) - low) / (high - low), ticks, 1.0)
    return draw("openllm against other engines (right of 1x: openllm is faster)", groups, results.peers(), axis, "{:.2f}".format)


def share_groups(results, titles):
    """By measurement and model: of the bandwidth when decoding, of the highest arithmetic peak in prefill."""
    groups = []
    for what, title in (("decode", "decode: share of the bandwidth"), ("prefill", "prefill: share of the arithmetic peak (of tiles, if any)")):
        rows = []
        for model in results.models():
            points = []
            for peer in results.peers():
                summary = results.summary(model, peer, what)
                found = report.shares(results, model, what, summary.median) if summary else []
                points += [(peer, found[-1][1])] if found else []
            if points:
                rows.append((titles.get(model, model), points))
        if rows:
            groups.append((title, rows))
    return groups


def share_plot(results, titles):
    groups = share_groups(results, titles)
    most = math.ceil(5 * max([1.0, *values_of(groups)])) / 5
    axis = Axis(lambda value: value / most, [(fifth / 5, f"{20 * fifth} %") for fifth in range(round(5 * most) + 1)], 1.0)
    return draw("Share of what the machine can do", groups, results.peers(), axis, "{:.0%}".format)
