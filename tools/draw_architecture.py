#!/usr/bin/env python3
"""Draws docs/architecture.svg of docs/architecture.txt, which says what its lines mean.

    tools/draw_architecture.py             writes it
    tools/draw_architecture.py --check     fails if it is not what the text says
"""

import sys
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLOURS = {"user": "#e8eef7", "http": "#e6f3ea", "core": "#fdf3dd", "engine": "#f6e6e6", "later": "#eeeeee"}
WIDTH, ROW_GAP, LINE, MARGIN = 1240, 46, 17, 20


class Box:
    def __init__(self, kind, text):
        self.kind = kind
        self.lines = [line.strip() for line in text.split("|")]
        self.width = max(6.6 * max(len(line) for line in self.lines) + 28, 150)
        self.height = LINE * len(self.lines) + 16
        self.x = self.y = 0.0


def read(path):
    title, rows, boxes, links = "", [], {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        word, _, rest = line.partition(" ")
        if word == "title":
            title = rest
        elif word == "row":
            rows.append([])
        elif word == "box":
            name, kind, text = rest.split(" ", 2)
            if not rows or kind not in COLOURS or name in boxes:
                sys.exit(f"{path}:{number}: a box needs a row, a kind ({', '.join(COLOURS)}) and a name of its own")
            boxes[name] = Box(kind, text)
            rows[-1].append(boxes[name])
        elif word == "link":
            ends = rest.split()
            if len(ends) != 2 or any(end not in boxes for end in ends):
                sys.exit(f"{path}:{number}: a link needs the names of two boxes")
            links.append((boxes[ends[0]], boxes[ends[1]]))
        elif word and not word.startswith("#"):
            sys.exit(f"{path}:{number}: unknown word {word}")
    return title, rows, boxes, links


def place(rows):
    """Rows below each other, the boxes of each spread over the width. Returns the height."""
    y = MARGIN + 30.0
    for row in rows:
        room = (WIDTH - 2 * MARGIN - sum(box.width for box in row)) / (len(row) + 1)
        if room < 0:
            sys.exit("a row is too wide")
        x, height = MARGIN + room, max(box.height for box in row)
        for box in row:
            box.x, box.y = x, y + (height - box.height) / 2
            x += box.width + room
        y += height + ROW_GAP
    return y - ROW_GAP + MARGIN


def arrow(start, end):
    if start.y + start.height < end.y:  # downwards
        x1, y1, x2, y2 = start.x + start.width / 2, start.y + start.height, end.x + end.width / 2, end.y
    elif start.x < end.x:
        x1, y1, x2, y2 = start.x + start.width, start.y + start.height / 2, end.x, end.y + end.height / 2
    else:
        x1, y1, x2, y2 = start.x, start.y + start.height / 2, end.x + end.width, end.y + end.height / 2
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#777" marker-end="url(#head)"/>'


def draw(path):
    title, rows, boxes, links = read(path)
    height = place(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="12">',
           f"<title>{escape(title)}</title>",
           '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
           '<path d="M0 0 L8 4 L0 8 z" fill="#777"/></marker></defs>',
           f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
           f'<text x="{WIDTH / 2:.0f}" y="{MARGIN + 8}" text-anchor="middle" font-size="17">{escape(title)}</text>']
    out += [arrow(start, end) for start, end in links]
    for box in boxes.values():
        dashes = ' stroke-dasharray="5 3"' if box.kind == "later" else ""
        out.append(f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height}" rx="6" '
                   f'fill="{COLOURS[box.kind]}" stroke="#999"{dashes}/>')
        for i, line in enumerate(box.lines):
            weight = ' font-weight="bold"' if i == 0 else ""
            out.append(f'<text x="{box.x + box.width / 2:.0f}" y="{box.y + 20 + LINE * i:.0f}" text-anchor="middle"{weight}>'
                       f"{escape(line)}</text>")
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    svg = draw(DOCS / "architecture.txt")
    target = DOCS / "architecture.svg"
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_text(encoding="utf-8") != svg:
            sys.exit("docs/architecture.svg is not what docs/architecture.txt says: run tools/draw_architecture.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        target.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
