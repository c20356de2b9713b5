"""`cnnrt devices` and `cnnrt plugins`: what is here, failures included."""

from __future__ import annotations

import importlib.util
from importlib import metadata

import attrs
import pytest

from cli_suite.command import answer, json_answer, run_cnnrt
from cnnrt.backend import Device
from cnnrt.memory_trial import possible
from cnnrt.plugins import PluginHost
from cnnrt_backend_sequential.backend import SequentialBackend
from cnnrt_export_onnx.exporter import OnnxExporter
from cnnrt_import_keras.importer import KerasImporter
from cnnrt_import_onnx.importer import OnnxImporter
from cnnrt_meters.battery import BatteryMeter
from cnnrt_meters.rapl import RaplMeter


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    """A host with two plugins: one that cannot be imported, and the built-in layers."""
    host = PluginHost(
        [
            metadata.EntryPoint("backend.broken", "no_such_module_anywhere", "cnnrt.plugins"),
            metadata.EntryPoint("layer.cnnrt", "cnnrt_layers", "cnnrt.plugins"),
        ]
    )
    monkeypatch.setattr("cnnrt.plugins.plugin_host", lambda: host)
    return host


def test_devices_show_processor_and_backends() -> None:
    text = answer("devices", "--verbose")
    for heading in ("processor", "cores", "caches", "vectors", "memory"):
        assert f"\n{heading} " in f"\n{text}"
    assert "\nsequential  cpu " in text
    assert "\nsequential: cpu\n" in text


def test_a_device_that_tells_nothing_of_itself_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Device("sequential", "phone", "a phone", problem="none is plugged in")
    monkeypatch.setattr(SequentialBackend, "devices", lambda backend: [absent])
    assert "\nsequential: phone\n  usable  no: none is plugged in\n" in answer("devices", "--verbose")


def test_devices_as_json() -> None:
    found = json_answer("devices")
    assert found["hardware"]["cores_usable"] >= 1
    assert {"backend": "sequential", "name": "cpu", "usable": True}.items() <= found["devices"][0].items()


def test_what_a_backend_keeps_with_its_devices_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    @attrs.frozen
    class Handled(Device):
        handle: object = None

    own = Handled("sequential", "phone", details={"driver": "1"}, handle=object())
    monkeypatch.setattr(SequentialBackend, "devices", lambda backend: [own])
    (told,) = json_answer("devices")["devices"]
    assert told == {
        "backend": "sequential", "name": "phone", "description": "", "problem": "", "details": {"driver": "1"},
        "aliases": [], "alone": False, "usable": True,
    }  # fmt: skip


@pytest.mark.skipif(not possible(), reason="this system does not tell a process's peak from a moment on")
def test_the_memory_that_backends_take_is_measured_when_it_is_asked_for() -> None:
    assert "runtime_bytes" not in json_answer("devices")
    (taken,) = (row.split() for row in answer("devices", "--runtime").splitlines() if row.startswith("  sequential"))
    assert taken[2] == "MiB"
    assert 5 < float(taken[1]) < 16


def test_devices_show_the_meters_and_why_they_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaplMeter, "problem", lambda meter: "no such counter")
    monkeypatch.setattr(BatteryMeter, "problem", lambda meter: "")
    rows = [line.split() for line in answer("devices").splitlines()]
    (rapl,) = (row for row in rows if row[:1] == ["rapl"])
    (battery,) = (row for row in rows if row[:1] == ["battery"])
    assert rapl[-4:] == ["no:", "no", "such", "counter"]
    assert battery[-1] == "yes"
    assert json_answer("devices")["meters"] == [
        {"name": "rapl", "problem": "no such counter", "usable": False},
        {"name": "battery", "problem": "", "usable": True},
    ]


def test_a_backend_that_fails_is_shown_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SequentialBackend) -> None:
        raise RuntimeError("driver too old")

    monkeypatch.setattr(SequentialBackend, "devices", fail)
    assert "no: RuntimeError: driver too old" in answer("devices")


def test_plugins_list_what_is_provided() -> None:
    found = {(p["kind"], p["name"]): p for p in json_answer("plugins")["plugins"]}
    assert "Convolution" in found["layer", "cnnrt"]["provides"]
    assert found["backend", "sequential"]["problem"] == ""
    assert "sequential" in answer("plugins")


def test_a_failed_plugin_is_listed_and_no_error(host: PluginHost) -> None:
    result = run_cnnrt("plugins")
    assert result.exit_code == 0
    assert "not loaded, see below" in result.stdout
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in result.stdout
    assert "Traceback" not in result.output
    assert result.stderr == "", "what is listed needs no warning"
    assert "Convolution" in result.stdout, "the others work on"


def test_verbose_shows_the_traceback_of_a_failed_plugin(host: PluginHost) -> None:
    assert "Traceback (most recent call last)" in answer("plugins", "--verbose")


def test_a_plugin_that_the_user_blocks_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_BLOCK", "importer.caffe")
    monkeypatch.setattr("cnnrt.plugins.plugin_host", PluginHost)
    text = answer("plugins")
    assert "caffe of cnnrt" in text
    assert "blocked by CNNRT_PLUGINS_BLOCK" in text
    assert "--verbose" not in text, "there is no traceback to show"


def test_what_is_installed_but_cannot_be_used_is_listed_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = 'a package is missing: pip install "cnnrt[some]"'
    monkeypatch.setattr(SequentialBackend, "devices", lambda backend: [Device("sequential", "cpu", problem="no cpu")])
    monkeypatch.setattr(KerasImporter, "problem", lambda importer: missing)
    monkeypatch.setattr(OnnxExporter, "problem", lambda exporter: missing)
    monkeypatch.setattr(RaplMeter, "problem", lambda meter: "no counter")
    monkeypatch.setattr(BatteryMeter, "problem", lambda meter: "")
    table, _, listed = answer("plugins").partition("\nnot usable here\n")
    assert "  sequential (not usable here), " in table
    assert "  rapl (not usable here), battery\n" in table
    assert listed.splitlines()[:4] == [
        "  sequential (backend)  no cpu",
        f"  onnx (exporter)       {missing}",
        f"  keras (importer)      {missing}",
        "  rapl (meter)          no counter",
    ]
    told = {(p["kind"], p["name"]): p["unusable"] for p in json_answer("plugins")["plugins"]}
    assert told["importer", "keras"] == {"keras": missing}
    assert told["importer", "caffe"] == {}


def test_a_plugin_that_cannot_even_say_why_is_listed_with_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(importer: KerasImporter) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr(KerasImporter, "problem", fail)
    assert "  keras (importer)" in answer("plugins")
    assert "RuntimeError: broken" in answer("plugins")


def test_a_missing_extra_is_named_by_those_who_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [plugin.problem() for plugin in (KerasImporter(), OnnxImporter(), OnnxExporter())] == ["", "", ""]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("cnnrt_import_onnx.importer.find_spec", lambda name: None)
    monkeypatch.setattr("cnnrt_export_onnx.exporter.find_spec", lambda name: None)
    assert KerasImporter().problem().endswith('needs the package h5py: pip install "cnnrt[keras]"')
    for plugin in (OnnxImporter(), OnnxExporter()):
        assert plugin.problem().endswith('needs the package onnx: pip install "cnnrt[onnx]"')
