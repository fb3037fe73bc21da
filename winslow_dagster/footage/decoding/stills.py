"""Still pictures, by Pillow: recognised by their content, refused by their header if they are too large."""

from __future__ import annotations

import io
import warnings
from typing import Any, BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from winslow_dagster.footage.decoding.refusal import Refusal
from winslow_dagster.footage.recognition import PICTURE_HEAD_BYTES, is_picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MOST_PIXELS = 150_000_000
LONGEST_SIDE = 65_535
DEEP = {"I;16", "I;16B", "I;16L", "I"}
JPEG_QUALITY = 95
SMALL_JPEG_QUALITY = 85
LOSSY = {"JPEG", "MPO"}
ORIENTATION = 0x0112
SIDEWAYS = {5, 6, 7, 8}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def prepare() -> None:
    """Load everything that Pillow would load when it is needed."""
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.init()
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def is_still(file: BinaryIO) -> bool:
    """Whether the content begins like a picture."""
    file.seek(0)
    head = file.read(PICTURE_HEAD_BYTES)
    file.seek(0)
    return is_picture(head)


def open_still(file: BinaryIO) -> Image.Image:
    """The picture, of which only the header was read. Raises Refusal."""
    try:
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Refusal(
            "it is damaged, or no picture of a known kind", "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal("it has too many pixels", f"at most {MOST_PIXELS:,}") from error
    check_size(picture.width, picture.height)
    return picture


def check_size(width: int, height: int) -> None:
    """Raise Refusal for a picture that would take too much memory."""
    if width < 1 or height < 1:
        raise Refusal(f"it has {width} x {height} pixels")
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise Refusal(f"it has {width} x {height} pixels", f"at most {MOST_PIXELS:,} in all and {LONGEST_SIDE} a side")


def still_facts(file: BinaryIO) -> dict[str, Any]:
    """Size and kind of a picture, from its header. Sides are those of the upright picture."""
    picture = open_still(file)
    turned = _orientation(picture) in SIDEWAYS
    width, height = (picture.height, picture.width) if turned else picture.size
    return {
        "kind": "picture",
        "container": str(picture.format),
        "codec": str(picture.format).lower(),
        "width": width,
        "height": height,
        "frame_count": 1,
        "rate": 0.0,
        "duration_s": 0.0,
        "starts_at_s": 0.0,
        "browser_plays": picture.format != "TIFF",
        "key_frames": [0],
    }


def decode_still(file: BinaryIO, width: int | None) -> tuple[dict[str, Any], bytes]:
    """The upright picture, downscaled if a width is given that is smaller. Raises Refusal."""
    opened = open_still(file)
    lossy = opened.format in LOSSY
    if width is not None and lossy:
        # Reads only as many details as are needed; never less than twice the size.
        opened.draft("RGB", (2 * width, 2 * width * opened.height // opened.width + 1))
    turn = TURNS.get(_orientation(opened))
    opened.seek(0)
    opened.load()
    picture = _plain(opened)
    return encoded(
        reduced(picture if turn is None else picture.transpose(turn), width), lossy=lossy, small=width is not None
    )


def _orientation(picture: Image.Image) -> int:
    """How a picture that is not loaded yet lies. Pillow turns TIFFs itself, and would load PNGs to answer."""
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return 1
    try:
        turned = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # it raises anything for damaged metadata, with which a picture is still one
        return 1
    return turned if turned in TURNS else 1


def _plain(picture: Image.Image) -> Image.Image:
    """The first picture of the file in 8 bits: grey or colours, with transparency if it has some."""
    if picture.mode in DEEP:
        # Pillow would cut off what is brighter than 255.
        return picture.convert("I").point(lambda value: value * (1 / 256) + 0).convert("L")
    if picture.mode == "F":
        raise Refusal("its pixels are fractions, which have no fixed brightness", "8 or 16 bits a channel")
    transparent = picture.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in picture.info
    wanted = "RGBA" if transparent else ("L" if picture.mode in {"1", "L"} else "RGB")
    return picture if picture.mode == wanted else picture.convert(wanted)


def reduced(picture: Image.Image, width: int | None) -> Image.Image:
    """The picture at this width, or as it is if it is not wider."""
    if width is None or width >= picture.width:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize(
        (width, height), Image.Resampling.BOX if picture.width > 4 * width else Image.Resampling.LANCZOS
    )


def encoded(picture: Image.Image, *, lossy: bool, small: bool) -> tuple[dict[str, Any], bytes]:
    """The picture as PNG, or, if something lossy was in it or it is small, as JPEG."""
    output = io.BytesIO()
    as_jpeg = picture.mode in {"RGB", "L"} and (lossy or small)
    if as_jpeg:
        picture.save(
            output, "JPEG", quality=SMALL_JPEG_QUALITY if small else JPEG_QUALITY, subsampling=2 if small else 0
        )
    else:
        picture.save(output, "PNG", compress_level=1)
    media_type = "image/jpeg" if as_jpeg else "image/png"
    return {"media_type": media_type, "width": picture.width, "height": picture.height}, output.getvalue()
