"""All types of layer that are imported."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt_import_caffe.classifier_rules import CLASSIFIER_RULES
from cnnrt_import_caffe.detection_rules import DETECTION_RULES
from cnnrt_import_caffe.elementwise_rules import ELEMENTWISE_RULES
from cnnrt_import_caffe.normalisation_rules import NORMALISATION_RULES
from cnnrt_import_caffe.rules import Rule
from cnnrt_import_caffe.shape_rules import SHAPE_RULES

SUPPORTED: Mapping[str, Rule] = (
    CLASSIFIER_RULES | ELEMENTWISE_RULES | NORMALISATION_RULES | SHAPE_RULES | DETECTION_RULES
)
