"""Keys of a layer that this importer does not know: told to the user, since a fork may have given them a meaning."""

from __future__ import annotations

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from netfile_spec.problems import quoted

# Known to change nothing in inference: training, the choice of an implementation, debugging.
_HARMLESS = frozenset(
    {
        "bias_filler",
        "blob_share_mode",
        "blobs_lr",
        "engine",
        "force_nd_im2col",
        "loss_weight",
        "phase",
        "propagate_down",
        "filler",
        "save_output_param",
        "scale_filler",
        "stable_prod_grad",
        "visualize",
        "visualize_threshold",
        "weight_decay",
        "weight_filler",
        # Named as problems where they matter.
        "dilation",
        "fuse_type",
    }
)


def note_unknown_keys(layer: CaffeLayer, block: str, findings: Findings) -> None:
    """Add a note for each key, beside the described ones, in a layer or in the block of its parameters."""
    if layer.place.v0_type or layer.place.tree is None:
        return
    described = layer.param.DESCRIPTOR.fields_by_name
    # `param` and `blobs` exist in all forms; blocks of other types' parameters mean nothing here.
    unknown = [e for e in layer.place.entries() if e.key not in described and not e.key.endswith("_param")]
    if block:
        inside = described[block].message_type.fields_by_name
        unknown += [e for e in layer.place.entries(block) if e.key not in inside]
    for entry in unknown:
        if entry.key not in _HARMLESS:
            line = layer.place.tree.position(entry.offset).line
            findings.note(f"line {line}: key {quoted(entry.key)} of layer {layer.title} is unknown and was ignored")
