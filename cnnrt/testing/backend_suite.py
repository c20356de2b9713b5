"""The suite of a backend: its devices, every kernel it has, and networks that run on it.

backend_kernel_checks.py    each kernel against its layer's reference, with its memory guarded
backend_network_checks.py   isolation, threads, strict mode, errors, the plan
"""

from __future__ import annotations

from cnnrt.backend import Device
from cnnrt.testing.backend_kernel_checks import BackendKernelChecks
from cnnrt.testing.backend_network_checks import BackendNetworkChecks


class BackendSuite(BackendKernelChecks, BackendNetworkChecks):
    """Everything a backend has to hold. A subclass states `backend`, the name of an installed one.

        class TestNumexpr(BackendSuite):
            backend = "numexpr"

    Without a usable device nothing runs and every check that needs one is skipped, with the device's reason.
    """

    def test_devices_are_usable_or_say_why(self) -> None:
        """Each device belongs to the backend, has a name, and either works or states its problem; always the same."""
        backend = self.host().backends()[self.backend]
        devices = backend.devices()
        for device in devices:
            assert isinstance(device, Device), f"devices() gives {device!r}; expected cnnrt.backend.Device"
            assert device.backend == backend.name, f"device {device.name!r} says that it is of {device.backend!r}"
            assert device.name, "a device without a name"
            assert isinstance(device.problem, str), f"device {device.name!r}: problem is {device.problem!r}, not a text"
        names = [device.name for device in devices]
        assert len(set(names)) == len(names), f"two devices have one name: {', '.join(names)}"
        assert names, "no device in sight; return one whose `problem` says what is missing"
        assert [d.name for d in backend.devices()] == names, "devices() gives other devices the second time"

    def test_description_is_stated(self) -> None:
        """Listings show one line for the backend."""
        backend = self.host().backends()[self.backend]
        assert backend.description.strip(), f"{type(backend).__name__}.description is empty"
