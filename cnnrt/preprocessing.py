"""From an image file to the numbers that a network expects, as its NetFile states.

    value = (pixel - mean) * scale            pixel 0..255, channels in channel_order

That is the order of Caffe's data transformer: mean first, then scale.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np

from cnnrt.caller_warning import warn_caller
from cnnrt.errors import InputError, PreprocessingWarning
from cnnrt.layer import Array
from netfile_spec import InputBlock, open_parameters, resolve_inside

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = {"gray": 1, "rgb": 3, "bgr": 3}

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is read: of Pillow's many decoders those in daily use. Others are little tested, or start programs (EPS)."""

MOST_PIXELS = 1 << 25
"""Pixels of an image file, 5792×5792; decoding and converting so many takes up to 290 MB."""

MOST_RESULTING_PIXELS = 1 << 23
"""Pixels of an image after resizing; as float32 in three channels they take 100 MB."""


@attrs.frozen
class Preprocessing:
    """How an image becomes an array. `mean` is None or broadcasts to (C, H, W); `size` is (height, width)."""

    channel_order: str
    mean: Array | None
    scale: float
    size: tuple[int, int] | None

    def load(self, path: str | Path) -> Array:
        """Return an image file as (C, H, W) float32. Raises InputError where it cannot be read as an image."""
        from PIL import Image, UnidentifiedImageError

        try:
            # A pipe or device would block, or never end.
            if Path(path).exists() and not Path(path).is_file():
                raise OSError("it is not a regular file")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd metadata, which plays no part here
                with Image.open(path, formats=FORMATS) as image:
                    if math.prod(image.size) > MOST_PIXELS:  # nothing is decoded yet
                        raise Image.DecompressionBombError(f"{image.size[0]}×{image.size[1]}")
                    return self.apply(image)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: the image is too large, above {MOST_PIXELS:,} pixels: {error}") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: cannot be read as an image: it is none of {', '.join(FORMATS)}") from error
        except Exception as error:  # decoders of damaged files raise all sorts of things
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise InputError(f"{path}: cannot be read as an image: {reason}") from error

    def apply(self, image: Image) -> Array:
        """Return an image as (C, H, W) float32: converted, resized (bilinear), mean subtracted, scaled.

        Raises InputError where its values are not 0..255, it is too large, or its size is not that of the mean image.
        """
        from PIL import Image as Pillow

        if image.mode.startswith(("I", "F")):
            raise InputError(
                f"the image has more than 8 bits for each channel (mode {image.mode}), which would be clipped: "
                "bring its values to 0..255 first"
            )
        mode = "L" if self.channel_order == "gray" else "RGB"
        pixels = image if image.mode == mode else image.convert(mode)
        if self.size is not None and pixels.size != (self.size[1], self.size[0]):
            pixels = pixels.resize((self.size[1], self.size[0]), Pillow.Resampling.BILINEAR)
        if math.prod(pixels.size) > MOST_RESULTING_PIXELS:
            raise InputError(
                f"the image has {math.prod(pixels.size):,} pixels, more than {MOST_RESULTING_PIXELS:,}: "
                "state a size in the NetFile's input block"
            )
        array = np.asarray(pixels, np.float32)
        array = array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)
        if self.channel_order == "bgr":
            array = array[::-1]
        # An array of our own, so that the arithmetic needs no further ones.
        array = np.array(array, order="C")
        with np.errstate(over="ignore", invalid="ignore"):  # `compute` refuses what is not finite
            if self.mean is not None:
                if self.mean.shape[1:] not in ((1, 1), array.shape[1:]):
                    raise InputError(
                        f"the mean image is {self.mean.shape[1]}×{self.mean.shape[2]}, "
                        f"the image {array.shape[1]}×{array.shape[2]}: state a size in the NetFile's input block"
                    )
                array -= self.mean
            array *= np.float32(self.scale)
        return array


def preprocessing(block: InputBlock, root: Path) -> Preprocessing:
    """Return what an input block states. Warns with PreprocessingWarning where it states nothing at all.

    Without a channel order one channel is taken for gray and three for rgb. Raises InputError for statements that
    contradict each other, ParameterFileError for a mean file that cannot be read.
    """
    channels = block.shape[0] if block.shape else None
    if not (block.channel_order or block.mean or block.mean_file or block.scale):
        warn_caller(
            f"the NetFile states no preprocessing for input {block.name!r} (channel_order, mean, scale): raw pixels "
            "0..255 are used; if the network was trained on something else its answers will be wrong",
            PreprocessingWarning,
        )
    order = block.channel_order or ("gray" if channels == 1 else "rgb")
    if channels is not None and channels != CHANNELS[order]:
        raise InputError(f"input {block.name!r} has {channels} channels, an image in {order} has {CHANNELS[order]}")
    if block.scale is not None and not _is_float32(block.scale):
        raise InputError(f"input {block.name!r}: scale {block.scale!r} does not fit a float32")
    size = block.size or (block.shape[1:] if block.shape and len(block.shape) == 3 else None)
    if size is not None and math.prod(size) > MOST_RESULTING_PIXELS:
        raise InputError(
            f"input {block.name!r}: images of {size[0]}×{size[1]} have more than {MOST_RESULTING_PIXELS:,} pixels"
        )
    return Preprocessing(
        channel_order=order,
        mean=_mean(block, root, CHANNELS[order]),
        scale=1.0 if block.scale is None else block.scale,
        size=None if size is None else (size[0], size[1]),
    )


def _mean(block: InputBlock, root: Path, channels: int) -> Array | None:
    if block.mean_file:
        with open_parameters(resolve_inside(root, block.mean_file)) as file, np.errstate(over="ignore"):
            mean = np.asarray(file.load(0), np.float32)  # `compute` refuses what is not finite
        if mean.ndim != 3 or mean.shape[0] != channels:
            raise InputError(f"{block.mean_file}: expected a mean of {channels}×height×width, got {mean.shape}")
        return mean
    if not block.mean:
        return None
    if len(block.mean) not in (1, channels):
        raise InputError(f"input {block.name!r}: mean has {len(block.mean)} numbers, expected 1 or {channels}")
    if not all(map(_is_float32, block.mean)):
        raise InputError(f"input {block.name!r}: mean {block.mean!r:.200} does not fit float32")
    return np.asarray(block.mean, np.float32).reshape(-1, 1, 1)


def _is_float32(value: float) -> bool:
    return abs(value) <= float(np.finfo(np.float32).max)
