"""A network as a folder for CNNdroid, or everything of it that CNNdroid cannot express."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from cnnrt.errors import ExportFailure, Problem
from cnnrt.exporter import ExportedNetwork, Exporter
from cnnrt.lazy_weights import LazyWeights
from cnnrt_export_cnndroid.chain import chain_of
from cnnrt_export_cnndroid.layers import keys_of, obstacles, reaches_over
from netfile_spec import LayerBlock, NetFile, read_model, write_model, write_netfile

_DEFAULT_CEILING = 60


class CnndroidExporter(Exporter):
    """Writes CNNdroid's NetFile and MessagePack files into a folder, to be copied to the phone."""

    name: ClassVar[str] = "cnndroid"
    description: ClassVar[str] = "CNNdroid: a folder with its NetFile and parameter files"

    def write(self, network: ExportedNetwork, target: Path) -> Sequence[str]:
        """Write the folder; ExportFailure with every layer that CNNdroid lacks or computes in another way."""
        links, problems = chain_of(network)
        graph = network.graph
        for link in links:
            for obstacle in obstacles(link.node, network):
                problems.append(
                    Problem(f"{link.node.title}: CNNdroid cannot express it: {obstacle}", link.node.position)
                )
        if problems:
            raise ExportFailure(problems, file=graph.file, source=graph.source)
        stated = network.netfile
        netfile = NetFile(
            layers=[LayerBlock(link.node.layer.type, link.node.name, keys=keys_of(link.node)) for link in links],
            allocated_ram=round(stated.allocated_ram or _DEFAULT_CEILING),
            execution_mode="sequential" if stated.execution_mode == "sequential" else "parallel",
            auto_tuning=bool(stated.auto_tuning),
        )
        weighed = [link for link in links if link.node.weights]
        parameters = {link.node.name: LazyWeights(link.weights(network)) for link in weighed}
        path = write_model(target, netfile, parameters, layout="cnndroid")
        folder = f"/sdcard/{target.name}/"
        # CNNdroid wants an absolute folder; which one that is on the phone, the files themselves do not know.
        write_netfile(path, attrs.evolve(read_model(path)[0], root_directory=folder))
        return [f"root_directory is {folder}: copy the folder there, or change it", *_notes(network)]


def _notes(network: ExportedNetwork) -> list[str]:
    notes = []
    if any(b.channel_order or b.mean or b.mean_file or b.scale for b in network.netfile.inputs):
        notes.append("CNNdroid's user normalises the input: mean, scale and channel order stay in the NetFile of cnnrt")
    over = [node.name for node in network.graph.nodes if reaches_over(node, network)]
    if over:
        notes.append(
            f"the last windows of {', '.join(over)} reach over the edge: CNNdroid's code did not clip them, so its "
            "mean is another there"
        )
    return notes
