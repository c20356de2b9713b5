"""From an image file to the numbers that a network expects: value = (pixel - mean) * scale."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnrt.errors import InputError, ParameterFileError, PreprocessingWarning
from cnnrt.layer import Array
from cnnrt.preprocessing import Preprocessing, preprocessing
from netfile_spec import InputBlock, write_parameters

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
"""Four rows, five columns, red green blue."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def load(photo: Path, block: InputBlock) -> Array:
    return preprocessing(block, photo.parent).load(photo)


def test_rgb_is_taken_as_it_is_and_bgr_the_other_way_round(photo: Path) -> None:
    rgb = load(photo, InputBlock(channel_order="rgb"))
    assert (rgb.shape, rgb.dtype.name, rgb.flags.c_contiguous) == ((3, 4, 5), "float32", True)
    np.testing.assert_array_equal(rgb, PIXELS.transpose(2, 0, 1))
    bgr = load(photo, InputBlock(channel_order="bgr"))
    np.testing.assert_array_equal(bgr, rgb[::-1])
    assert bgr.flags.c_contiguous


def test_gray_has_one_channel(tmp_path: Path, photo: Path) -> None:
    gray = load(photo, InputBlock(channel_order="gray"))
    assert gray.shape == (1, 4, 5)
    np.testing.assert_allclose(gray[0], PIXELS @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(load(tmp_path / "gray.png", InputBlock(channel_order="gray"))[0], PIXELS[..., 0])


def test_mean_is_subtracted_first_and_the_difference_scaled(photo: Path) -> None:
    block = InputBlock(channel_order="bgr", mean=(104, 117, 123), scale=0.5)
    expected = (PIXELS.transpose(2, 0, 1)[::-1] - np.array([104, 117, 123]).reshape(3, 1, 1)) * 0.5
    np.testing.assert_allclose(load(photo, block), expected, rtol=1e-6)


def test_one_mean_serves_all_channels(photo: Path) -> None:
    expected = PIXELS.transpose(2, 0, 1) - 100.0
    np.testing.assert_array_equal(load(photo, InputBlock(channel_order="rgb", mean=(100,))), expected)


def test_a_mean_image_is_subtracted_pixel_by_pixel(photo: Path) -> None:
    mean = np.random.default_rng(1).random((3, 4, 5), np.float32)
    write_parameters(photo.parent / "mean.msg", {"mean": mean})
    block = InputBlock(channel_order="rgb", mean_file="mean.msg", scale=2)
    np.testing.assert_allclose(load(photo, block), (PIXELS.transpose(2, 0, 1) - mean) * 2, rtol=1e-6)


def test_images_are_resized_to_the_stated_size_or_that_of_the_shape(photo: Path) -> None:
    assert load(photo, InputBlock(shape=(3, 6, 7), channel_order="rgb")).shape == (3, 6, 7)
    sized = InputBlock(shape=(3, 6, 7), channel_order="rgb", size=(8, 9))
    assert load(photo, sized).shape == (3, 8, 9)
    plain = Image.new("RGB", (40, 20), (10, 20, 30))
    plain.save(photo)
    resized = load(photo, InputBlock(channel_order="rgb", size=(5, 6)))
    np.testing.assert_array_equal(resized, np.broadcast_to(np.array([10, 20, 30]).reshape(3, 1, 1), (3, 5, 6)))


def test_a_netfile_that_says_nothing_of_preprocessing_warns_and_takes_raw_pixels(photo: Path) -> None:
    with pytest.warns(PreprocessingWarning, match="states no preprocessing for input 'data'"):
        stated = preprocessing(InputBlock(shape=(3, 4, 5)), photo.parent)
    np.testing.assert_array_equal(stated.load(photo), PIXELS.transpose(2, 0, 1))
    with pytest.warns(PreprocessingWarning):
        assert preprocessing(InputBlock(shape=(1, 4, 5)), photo.parent).channel_order == "gray"


@pytest.mark.parametrize("statement", [{"scale": 2.0}, {"mean": (0.0,)}, {"channel_order": "rgb"}])
def test_any_statement_is_enough_not_to_warn(tmp_path: Path, statement: dict[str, Any]) -> None:
    assert preprocessing(InputBlock(shape=(3, 4, 5), **statement), tmp_path).channel_order == "rgb"


def test_statements_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    write_parameters(tmp_path / "mean.msg", {"mean": np.zeros((1, 4, 5), np.float32)})
    for block, message in (
        (InputBlock(shape=(1, 4, 5), channel_order="rgb"), "has 1 channels, an image in rgb has 3"),
        (InputBlock(shape=(4, 4, 5), channel_order="bgr"), "has 4 channels, an image in bgr has 3"),
        (InputBlock(channel_order="rgb", mean=(1, 2)), "mean has 2 numbers, expected 1 or 3"),
        (InputBlock(channel_order="rgb", mean_file="mean.msg"), "expected a mean of 3×height×width"),
    ):
        with pytest.raises(InputError, match=message):
            preprocessing(block, tmp_path)


def test_a_mean_image_of_another_size_is_refused(photo: Path) -> None:
    write_parameters(photo.parent / "mean.msg", {"mean": np.zeros((3, 8, 8), np.float32)})
    with pytest.raises(InputError, match="the mean image is 8×8, the image 4×5: state a size"):
        load(photo, InputBlock(channel_order="rgb", mean_file="mean.msg"))


def test_a_mean_file_stays_inside_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ParameterFileError, match="leads upwards"):
        preprocessing(InputBlock(channel_order="rgb", mean_file="../mean.msg"), tmp_path)


RGB = Preprocessing("rgb", None, 1.0, None)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.png: cannot be read as an image"):
        RGB.load(tmp_path / "x.png")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(InputError, match="cannot be read as an image"):
            RGB.load(path)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_pixels_of_more_than_8_bits_are_refused_since_converting_would_clip_them(tmp_path: Path, mode: str) -> None:
    array = np.full((4, 4), 40000, {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
    path = tmp_path / "deep.tiff"
    Image.fromarray(array).save(path)
    with pytest.raises(InputError, match="more than 8 bits"):
        RGB.load(path)


def png(width: int, height: int) -> bytes:
    """Return a small file that promises an image of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
def test_a_small_file_that_promises_a_huge_image_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size))
    with pytest.raises(InputError, match="the image is too large"):
        RGB.load(tmp_path / "bomb.png")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("encoded")
    result = {}
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        Image.fromarray(PIXELS).save(folder / f"x.{kind}")
        result[kind] = (folder / f"x.{kind}").read_bytes()
    return result


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(data=st.data(), kind=st.sampled_from(("png", "jpeg", "gif", "bmp", "tiff", "webp")))
def test_a_damaged_image_is_an_image_or_an_error_of_ours(
    encoded: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    content = bytearray(encoded[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    with suppress(InputError):
        assert RGB.load(path).shape[0] == 3


def test_an_image_of_more_pixels_than_memory_should_be_given_for_is_refused_undecoded(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(5793, 5793))
    with pytest.raises(InputError, match="the image is too large, above 33,554,432 pixels: 5793×5793"):
        RGB.load(tmp_path / "large.png")


def test_a_result_of_more_pixels_than_memory_should_be_given_for_needs_a_size(tmp_path: Path) -> None:
    Image.new("L", (3000, 3000)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="more than 8,388,608: state a size"):
        RGB.load(tmp_path / "x.png")
    assert preprocessing(InputBlock(channel_order="gray", size=(30, 30)), tmp_path).load(tmp_path / "x.png").shape


@pytest.mark.parametrize("size", [(40_000, 40_000), (2**31 - 1, 2**31 - 1)])
def test_a_netfile_states_no_size_that_memory_cannot_hold(tmp_path: Path, size: tuple[int, int]) -> None:
    for block in (InputBlock(channel_order="rgb", size=size), InputBlock(shape=(3, *size), channel_order="rgb")):
        with pytest.raises(InputError, match="have more than 8,388,608 pixels"):
            preprocessing(block, tmp_path)


def test_formats_whose_decoders_run_programs_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match="it is none of BMP, GIF, JPEG, PNG"):
        RGB.load(tmp_path / "x.png")


@pytest.mark.parametrize("stated", [{"scale": 1e300}, {"mean": (1e39,)}, {"mean": (0, -1e300, 0)}])
def test_numbers_that_no_float32_holds_are_refused(tmp_path: Path, stated: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not fit"):
        preprocessing(InputBlock(channel_order="rgb", **stated), tmp_path)


def test_a_product_beyond_float32_warns_nobody(photo: Path) -> None:
    assert np.isinf(load(photo, InputBlock(channel_order="rgb", scale=1e38))).any()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(InputError, match="cannot be read as an image: it is not a regular file"):
        RGB.load(tmp_path / "x.png")
