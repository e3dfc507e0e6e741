"""Two plots as SVG, written by hand: how much better than each other engine, and how much of the machine."""
import math
from html import escape

import report
from peers import OURS

COLORS = ["#1f5fa8", "#7fb2e5", "#d1495b", "#edae49", "#3c8d5a", "#8a5fb0", "#6b6b6b"]
LEFT, RIGHT, ROW, TOP = 250, 30, 20, 64


def text(x, y, words, anchor="start", size=12, weight="normal", color="#222222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{color}">'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, color="#dddddd", width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def page(width, height, title, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" font-family="sans-serif" role="img">'
            f"<title>{escape(title)}</title>")
    return "\n".join([head, f'<rect width="{width}" height="{height:.0f}" fill="#ffffff"/>', text(12, 22, title, size=15, weight="bold"),
                      *parts, "</svg>"]) + "\n"


def color_of(peer, peers):
    return COLORS[peers.index(peer) % len(COLORS)]


def legend(peers, all_peers, y):
    parts, x = [], 12.0
    for peer in peers:
        parts += [f'<circle cx="{x + 5:.1f}" cy="{y - 4:.1f}" r="5" fill="{color_of(peer, all_peers)}"/>', text(x + 15, y, peer)]
        x += 34 + 7.2 * len(peer)
    return parts


def ratio_groups(results, titles):
    """[(title, [(what, [(peer, ratio)])])]: ours over each other engine."""
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


def ratio_plot(results, titles, width=860):
    """A point for each other engine, on an axis of powers of two; None of nothing."""
    groups = ratio_groups(results, titles)
    if not groups:
        return None
    values = [value for _, rows in groups for _, points in rows for _, value in points]
    low, high = math.floor(min(0, *map(math.log2, values))), math.ceil(max(1, *map(math.log2, values)))
    scale = (width - LEFT - RIGHT) / (high - low)
    bottom = TOP + sum(ROW * (len(rows) + 1.4) for _, rows in groups)

    def at(value):
        return LEFT + (math.log2(value) - low) * scale

    parts = legend([peer for peer in results.peers() if any(peer == p for _, rows in groups for _, ps in rows for p, _ in ps)],
                   results.peers(), 46)
    for power in range(low, high + 1):
        x = LEFT + (power - low) * scale
        parts += [line(x, TOP, x, bottom, "#222222" if power == 0 else "#dddddd", 1.5 if power == 0 else 1.0),
                  text(x, bottom + 16, f"{2.0 ** power:g}x", "middle")]
    y = TOP
    for title, rows in groups:
        y += ROW
        parts.append(text(12, y, title, weight="bold"))
        for what, points in rows:
            y += ROW
            parts += [text(LEFT - 12, y, what, "end"), line(LEFT, y - 4, width - RIGHT, y - 4, "#f0f0f0")]
            parts += [f'<circle cx="{at(value):.1f}" cy="{y - 4:.1f}" r="5" fill="{color_of(peer, results.peers())}">'
                      f"<title>{escape(peer)}: {value:.2f}</title></circle>" for peer, value in points]
        y += 0.4 * ROW
    return page(width, bottom + 28, "openllm against other engines (right of 1x: openllm is faster)", parts)


def share_groups(results, titles):
    """[(title, [(peer, name, share)])]: of the bandwidth when decoding, then of the arithmetic peak in prefill."""
    groups = []
    for what in ("decode", "prefill"):
        for model in results.models():
            bars = []
            for peer in results.peers():
                summary = results.summary(model, peer, what)
                found = report.shares(results, model, what, summary.median) if summary else []
                if found:
                    bars.append((peer, *found[0]))
            if bars:
                groups.append((f"{titles.get(model, model)}: {what}, of {bars[0][1]}", bars))
    return groups


def share_plot(results, titles, width=860):
    groups = share_groups(results, titles)
    if not groups:
        return None
    most = max(1.0, *(share for _, bars in groups for _, _, share in bars))
    scale = (width - LEFT - RIGHT) / most
    bottom = TOP + sum(ROW * (len(bars) + 1.4) for _, bars in groups)
    parts = []
    for tenth in range(0, int(most * 10) + 1, 2 if most <= 2 else 10):
        x = LEFT + tenth / 10 * scale
        parts += [line(x, TOP, x, bottom, "#222222" if tenth == 10 else "#dddddd", 1.5 if tenth == 10 else 1.0),
                  text(x, bottom + 16, f"{10 * tenth} %", "middle")]
    y = TOP - 20
    for title, bars in groups:
        y += ROW
        parts.append(text(12, y, title, weight="bold"))
        for peer, _, share in bars:
            y += ROW
            parts += [text(LEFT - 12, y, peer, "end"),
                      f'<rect x="{LEFT}" y="{y - 11:.1f}" width="{share * scale:.1f}" height="13" '
                      f'fill="{color_of(peer, results.peers())}"/>',
                      text(LEFT + share * scale + 6, y, f"{100 * share:.0f} %", size=11)]
        y += 0.4 * ROW
    return page(width, bottom + 28, "Share of what the machine can do", parts)
