"""The report as Markdown by a template, and as one HTML page made from that Markdown.

Whatever a person wrote passes `escaped` first: one line, no mark left that Markdown, a table, a formula or a link could
be made of. The page then holds only what the Markdown parser escaped, our own style and our own pictures.
"""
from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from twin.report.content import Content
from twin.text import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

_FIRST = re.compile(r"^(?:\d+(?=[.)])|(?=[-+=]))")  # what would open a list or underline a heading
_LINK = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=www)\.", re.I)  # bare addresses, which some readers turn into links
# Entities where a backslash is not enough: to some readers it opens a formula before a bracket, and so does a dollar.
# (JupyterLab looks for formulas once more in what is shown: there '$x$' in a quote looks like one, and stays harmless.)
_MARKS = str.maketrans({**{mark: "\\" + mark for mark in "`*_{}[]<>#|~&!^"},
                        "\\": "&#92;", "$": "&#36;", "@": "&#64;"})


def escaped(text: str) -> str:
    """Any text as plain words on one line of Markdown."""
    return _FIRST.sub(r"\g<0>\\", _LINK.sub(r"\\\g<0>", one_line(text).translate(_MARKS)))


def as_markdown(said: Content) -> str:
    """Markdown of the whole report, a single blank line between blocks."""
    environment = _environment()
    environment.filters.update(md=escaped, code=lambda text: re.sub(r"[^\w.:-]", "", text))
    text = environment.from_string(_template("markdown.jinja")).render(said=said, words=said.words)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def as_page(said: Content, pictures: Mapping[str, bytes]) -> str:
    """One standalone page. `pictures` are SVG by the section ('standing', 'claims', 'time') that they end."""
    from markdown_it import MarkdownIt  # here: only a page needs it

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    by_title = {said.words[section]: _figure(svg, said.words[section]) for section, svg in pictures.items()}
    parts = re.split(r"^(?=## )", as_markdown(said), flags=re.M)  # escaped texts never begin with a hash
    body = "".join(_wide(parser.render(part)) + by_title.get(part.partition("\n")[0][3:], "") for part in parts)
    return _environment().from_string(_template("page.jinja")).render(
        language=said.language, title=said.words["title"], body=body)


def _wide(html: str) -> str:
    return html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def _figure(svg: bytes, title: str) -> str:
    return f'<figure><img alt="{title}" src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"></figure>\n'


def _environment() -> Environment:
    from jinja2 import StrictUndefined  # here: `import twin` must stay light
    from jinja2.sandbox import SandboxedEnvironment

    # Markdown escapes by `md`, the page gets what the Markdown parser escaped: HTML's own escaping would do it twice.
    return SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                keep_trailing_newline=True, autoescape=False)


def _template(name: str) -> str:
    return files("twin.report").joinpath(name).read_text("utf-8")
