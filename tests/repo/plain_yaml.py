"""Reads the YAML that the files of deploy/kubernetes are written in: maps and lists in blocks or on one line, plain and quoted
texts, comments, several documents. Anything else is an error. tools/check_manifests.py holds it against PyYAML."""

import re

KEY = re.compile(r'("[^"]*"|[^\s#"\'\[\]{},&*!|>%@`:][^#]*?):(?:\s+(.*))?$')


class YamlError(Exception):
    pass


def strip_comment(line):
    quoted = False
    for i, c in enumerate(line):
        if c == '"':
            quoted = not quoted
        elif c == "#" and not quoted and (i == 0 or line[i - 1] == " "):
            return line[:i].rstrip()
    return line.rstrip()


def scalar(text):
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null", "~"):
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else text


class Flow:
    """A map or list on one line."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def skip(self):
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1

    def take(self, c):
        self.skip()
        if not self.text.startswith(c, self.at):
            raise YamlError(f"expected {c} at {self.at} of {self.text}")
        self.at += 1

    def peek(self):
        self.skip()
        return self.text[self.at : self.at + 1]

    def word(self, ends):
        self.skip()
        if self.peek() == '"':
            end = self.text.index('"', self.at + 1) + 1
        else:
            end = self.at
            while end < len(self.text) and self.text[end] not in ends:
                end += 1
        word, self.at = self.text[self.at : end].strip(), end
        return word

    def value(self):
        if self.peek() == "{":
            return self.items("{", "}", lambda into: into.update([self.pair()]), {})
        if self.peek() == "[":
            return self.items("[", "]", lambda into: into.append(self.value()), [])
        return scalar(self.word(",]}"))

    def pair(self):
        key = scalar(self.word(":"))
        self.take(":")
        return key, self.value()

    def items(self, begin, end, add, into):
        self.take(begin)
        while self.peek() != end:
            add(into)
            if self.peek() != end:
                self.take(",")
        self.take(end)
        return into


def value_of(text):
    if text[:1] not in ("{", "["):
        if text[:1] in "&*!|>%@`'":
            raise YamlError(f"not read here: {text}")
        return scalar(text)
    flow = Flow(text)
    value = flow.value()
    if flow.peek():
        raise YamlError(f"more behind the value: {text}")
    return value


def block(lines, indent):
    """Takes the value off the front of `lines`, pairs of indentation and text."""
    if not lines or lines[0][0] < indent:
        return None
    indent = lines[0][0]
    if lines[0][1].startswith("- "):
        items = []
        while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
            text = lines[0][1][2:]
            rest = text.lstrip()
            if KEY.match(rest) and not rest.startswith(("{", "[")):
                lines[0] = (indent + 2 + len(text) - len(rest), rest)
                items.append(block(lines, indent + 1))
            else:
                lines.pop(0)
                items.append(value_of(rest))
        return items
    result = {}
    while lines and lines[0][0] == indent:
        found = KEY.match(lines[0][1])
        if not found:
            raise YamlError(f"no key: {lines[0][1]}")
        lines.pop(0)
        key = scalar(found[1])
        if key in result:
            raise YamlError(f"{key} stands there twice")
        is_list = lines and lines[0][0] == indent and lines[0][1].startswith("- ")
        result[key] = value_of(found[2]) if found[2] else block(lines, indent if is_list else indent + 1)
    return result


def documents(text):
    for part in re.split(r"(?m)^---\s*$", text):
        lines = [strip_comment(line) for line in part.splitlines()]
        lines = [(len(line) - len(line.lstrip()), line.lstrip()) for line in lines if line]
        if not lines:
            continue
        document = block(lines, 0)
        if lines:
            raise YamlError(f"not read: {lines[0][1]}")
        yield document
