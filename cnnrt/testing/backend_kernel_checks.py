"""What every kernel of a backend has to hold, whichever layer it computes."""

from __future__ import annotations

import tracemalloc

from hypothesis import assume

from cnnrt.backend import Kernel
from cnnrt.kernel_trial import call_in_layouts, make_trial
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, assert_statements_hold, cases_for, takes
from cnnrt.testing.layer_reference_checks import UNSTATED_BYTES
from cnnrt.testing.other_shapes import LARGE, enlarged_case, stretched_calls

THREADS = (1, None, 2)
ANSWER_BYTES = 1 << 20
"""What answering a question about a call may allocate."""


class BackendKernelChecks(BackendFacts):
    """Checks of each kernel alone."""

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        """On random calls, whatever the number of threads, it is within the layer's bound; only its buffers change."""
        kernel, backend, device, suite = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite, threads=THREADS[case.seed % 3])

        examine(cases_for(kernel, self.cases(kernel), self.host()), check, self.examples(50), none=_none(kernel))

    def test_kernel_states_what_holds(self, kernel_key: KernelKey | None) -> None:
        """Expected seconds, workspace, bytes of packed weights and parameters are what the kernel says."""
        kernel, _, device, _ = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_statements_hold(kernel, case, device)

        examine(cases_for(kernel, self.cases(kernel), self.host()), check, self.examples(20), none=_none(kernel))

    def test_kernel_answers_for_huge_sizes(self, kernel_key: KernelKey | None) -> None:
        """A NetFile may ask for anything: the kernel answers at once, allocates nothing, and does not fail."""
        kernel, _, device, _ = self.installed(kernel_key)

        def check(case: Case) -> None:
            for call in stretched_calls(case):
                tracemalloc.start()
                try:
                    if takes(kernel, call, device):
                        placed = call_in_layouts(kernel, call)
                        kernel.estimate(placed, device)
                        kernel.parameters(placed)
                        assert kernel.packed_bytes(placed) >= 0, f"packed_bytes is negative for {call}"
                        assert kernel.workspace(placed) >= 0, f"workspace is negative for {call}"
                    _, peak = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                assert peak < ANSWER_BYTES, f"asked about {call}, {kernel.name} allocates {peak} bytes"

        examine(self.cases(kernel), check, self.examples(5))

    def test_kernel_allocates_nothing_beside_its_workspace(self, kernel_key: KernelKey | None) -> None:
        """On large inputs, what it needs is in the workspace that it stated: the memory plan is the whole truth."""
        kernel, backend, device, _ = self.installed(kernel_key)

        def check(case: Case) -> None:
            large = enlarged_case(case)
            assume(sum(x.size for x in large.inputs) >= LARGE and takes(kernel, large.call, device))
            trial = make_trial(kernel, backend, device, large.call, large.inputs, large.weights, 1, name="large")
            outputs, workspace = trial.buffers()
            trial.run(outputs, workspace)  # whatever is made once, at the first call, is not counted
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                trial.run(outputs, workspace)
                used = tracemalloc.get_traced_memory()[1] - before
            finally:
                tracemalloc.stop()
            assert used <= UNSTATED_BYTES, (
                f"{kernel.name} allocates {used} bytes beside the {workspace.nbytes} of its workspace; state them"
            )

        examine(
            self.cases(kernel),
            check,
            self.examples(15),
            none=f"no call that {kernel.name} takes can be made large",
            may_skip=True,
        )


def _none(kernel: Kernel) -> str:
    return f"{kernel.name} takes none of the calls of its layer's suite: override cases() in the backend's"
