"""From an image file to the numbers that a network expects, as its NetFile states.

    value = (pixel - mean) * scale            pixel 0..255, channels in channel_order

That is the order of Caffe's data transformer: mean first, then scale.
"""

from __future__ import annotations

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


@attrs.frozen
class Preprocessing:
    """How an image becomes an array. `mean` is None or broadcasts to (C, H, W); `size` is (height, width)."""

    channel_order: str
    mean: Array | None
    scale: float
    size: tuple[int, int] | None

    def load(self, path: str | Path) -> Array:
        """Return an image file as (C, H, W) float32. Raises InputError where it cannot be read as an image."""
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path) as image:
                    return self.apply(image)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise InputError(f"{path}: the image is too large: {error}") from error
        except Exception as error:  # decoders of damaged files raise all sorts of things
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be read as an image: {reason}") from error

    def apply(self, image: Image) -> Array:
        """Return an image as (C, H, W) float32: converted, resized (bilinear), mean subtracted, scaled.

        Raises InputError where its values are not 0..255, or its size is not that of the mean image.
        """
        from PIL import Image as Pillow

        if image.mode.startswith(("I", "F")):
            raise InputError(
                f"the image has more than 8 bits for each channel (mode {image.mode}), which would be clipped: "
                "bring its values to 0..255 first"
            )
        pixels = image.convert("L" if self.channel_order == "gray" else "RGB")
        if self.size is not None and pixels.size != (self.size[1], self.size[0]):
            pixels = pixels.resize((self.size[1], self.size[0]), Pillow.Resampling.BILINEAR)
        array = np.asarray(pixels, np.float32)
        array = array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)
        if self.channel_order == "bgr":
            array = array[::-1]
        if self.mean is not None:
            if self.mean.shape[1:] not in ((1, 1), array.shape[1:]):
                raise InputError(
                    f"the mean image is {self.mean.shape[1]}×{self.mean.shape[2]}, "
                    f"the image {array.shape[1]}×{array.shape[2]}: state a size in the NetFile's input block"
                )
            array = array - self.mean
        return np.ascontiguousarray(array * np.float32(self.scale))


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
    size = block.size or (block.shape[1:] if block.shape and len(block.shape) == 3 else None)
    return Preprocessing(
        channel_order=order,
        mean=_mean(block, root, CHANNELS[order]),
        scale=1.0 if block.scale is None else block.scale,
        size=None if size is None else (size[0], size[1]),
    )


def _mean(block: InputBlock, root: Path, channels: int) -> Array | None:
    if block.mean_file:
        with open_parameters(resolve_inside(root, block.mean_file)) as file:
            mean = np.asarray(file.load(0), np.float32)
        if mean.ndim != 3 or mean.shape[0] != channels:
            raise InputError(f"{block.mean_file}: expected a mean of {channels}×height×width, got {mean.shape}")
        return mean
    if not block.mean:
        return None
    if len(block.mean) not in (1, channels):
        raise InputError(f"input {block.name!r}: mean has {len(block.mean)} numbers, expected 1 or {channels}")
    return np.asarray(block.mean, np.float32).reshape(-1, 1, 1)
