"""Layers of detectors: SSD's default boxes and their decoding, Fast R-CNN's regions."""

from __future__ import annotations

from cnnrt.vocabulary import complaints, layer_class
from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from cnnrt_import_caffe.rules import LARGEST, Converted, Rule, number
from netfile_spec import Value


def _prior_box(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block, keys = layer.param.prior_box_param, "prior_box_param", dict[str, Value]()
    for key in ("min_size", "max_size", "aspect_ratio", "variance"):
        if stated := tuple(number(v) for v in getattr(param, key)):
            keys[key] = stated
    if not param.min_size:
        findings.of_layer(layer, "no min_size", block, expected="one or several sizes of boxes")
    for key, default in (("flip", True), ("clip", False)):
        if getattr(param, key) is not default:
            keys[key] = not default
    if param.img_size and (param.img_h or param.img_w):
        findings.of_layer(layer, "img_size beside img_h or img_w", block, "img_size", expected="one of the two forms")
    if height := param.img_h or param.img_size:
        keys |= {"img_h": height, "img_w": param.img_w or param.img_size}
    for key in ("step", "step_h", "step_w"):
        if value := number(getattr(param, key)):
            keys[key] = value
    if number(param.offset) != 0.5:
        keys["offset"] = number(param.offset)
    _check(layer, findings, block, "PriorBox", keys)
    return Converted("PriorBox", keys)


def _detection_output(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.detection_output_param, "detection_output_param"
    keys: dict[str, Value] = {"num_classes": param.num_classes}
    if not param.share_location:
        keys["share_location"] = False
    if param.background_label_id:
        keys["background_label_id"] = param.background_label_id
    if number(param.nms_param.nms_threshold) != 0.3:
        keys["nms_threshold"] = number(param.nms_param.nms_threshold)
    if param.nms_param.HasField("top_k"):
        keys["top_k"] = param.nms_param.top_k
    if number(param.nms_param.eta) != 1:
        keys["eta"] = number(param.nms_param.eta)
    if param.keep_top_k != -1:
        keys["keep_top_k"] = param.keep_top_k
    if param.HasField("confidence_threshold"):
        keys["confidence_threshold"] = number(param.confidence_threshold)
    if param.code_type > 1:
        keys["code_type"] = ("corner", "corner", "center_size", "corner_size")[param.code_type]
    if param.variance_encoded_in_target:
        keys["variance_encoded_in_target"] = True
    _check(layer, findings, block, "DetectionOutput", keys)
    return Converted("DetectionOutput", keys)


def _roi_pooling(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.roi_pooling_param, "roi_pooling_param"
    sizes = param.pooled_h, param.pooled_w
    if min(sizes) < 1 or max(sizes) > LARGEST:
        findings.of_layer(layer, f"a grid of {sizes[0]}×{sizes[1]}", block, expected="pooled_h and pooled_w")
    keys: dict[str, Value] = {"pooled_h": sizes[0], "pooled_w": sizes[1]}
    if number(param.spatial_scale) != 1:
        keys["spatial_scale"] = number(param.spatial_scale)
    return Converted("ROIPooling", keys)


def _check(layer: CaffeLayer, findings: Findings, block: str, kind: str, keys: dict[str, Value]) -> None:
    """Add as problems what cnnrt's layer, which has Caffe's own rules, says to these keys."""
    for key, message in complaints(layer_class(kind), keys):
        findings.of_layer(layer, f"{key}: {message}" if key else message, block, key or "")


DETECTION_RULES = {
    "DetectionOutput": Rule("detection_output_param", _detection_output, (3, 3)),
    "PriorBox": Rule("prior_box_param", _prior_box, (2, 2)),
    "ROIPooling": Rule("roi_pooling_param", _roi_pooling, (2, 2)),
}
