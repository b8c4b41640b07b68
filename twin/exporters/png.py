"""The picture of a card: how deep the person asks, as bars, and texts in its chunks. The one room of Pillow.

No word of the person is drawn, and the file carries nothing but what it is given: no EXIF, no time.
"""
from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping

WIDTH, HEIGHT = 400, 600  # the shape of a card in the programs that show one
_GROUND, _RULE, _BAR = (24, 28, 38), (58, 66, 84), ((86, 156, 214), (220, 178, 92))


def drawn(levels: Mapping[int, int], texts: Mapping[str, str]) -> bytes:
    """A PNG of bars for the levels 1..7, the tallest that of the commonest one, with the texts in tEXt chunks (keyword
    -> base64 of the UTF-8). Equal input gives equal bytes."""
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    draw = ImageDraw.Draw(image)
    most, step, foot = max([*levels.values(), 1]), (WIDTH - 60) // 7, HEIGHT - 60
    for level in range(1, 8):
        left, tall = 30 + (level - 1) * step, round((HEIGHT - 140) * levels.get(level, 0) / most)
        share = (level - 1) / 6
        colour = tuple(round(low + (high - low) * share) for low, high in zip(*_BAR, strict=True))
        draw.rectangle((left + 6, foot - tall, left + step - 6, foot), fill=colour)
    draw.line((30, foot + 2, WIDTH - 30, foot + 2), fill=_RULE, width=3)
    chunks, stream = PngInfo(), io.BytesIO()
    for keyword, text in texts.items():
        chunks.add_text(keyword, b64encode(text.encode()).decode("ascii"))
    image.save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()
