"""Draw 500 images and send them to the service; two are broken, and ten come from a storage that stumbles."""

from __future__ import annotations

import io
import random
import sys
from urllib.request import Request, urlopen

from PIL import Image

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"


def draw(number: int) -> bytes:
    """Return a small picture as PNG."""
    chance = random.Random(number)
    image = Image.new("RGB", (64, 48), (chance.randrange(256), chance.randrange(256), chance.randrange(256)))
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


for number in range(500):
    name = f"{'flaky' if number % 50 == 0 else 'image'}-{number}.png"
    body = b"not an image" if number in {123, 321} else draw(number)
    urlopen(Request(f"{ADDRESS}/uploads/{name}", data=body, method="PUT")).close()
print("sent 500 images")
