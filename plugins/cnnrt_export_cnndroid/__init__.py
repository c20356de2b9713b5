"""Writes networks as CNNdroid reads them: its NetFile and its parameter files.

exporter.py   CnndroidExporter: from a network to a folder
chain.py      the layers one behind the other, batch normalisation multiplied into the weights before it
layers.py     what CNNdroid can say of each layer, and what its code computed otherwise
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.exporter import Exporter

plugin_api = 1


@hookimpl
def cnnrt_exporters() -> list[Exporter]:
    """Return the exporter to CNNdroid."""
    from cnnrt_export_cnndroid.exporter import CnndroidExporter

    return [CnndroidExporter()]
