"""What this process may use of the machine, read from made-up /proc and /sys trees."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnrt.control_groups import GroupLimits, read_group_limits
from cnnrt.hardware import Cache, detect_hardware, parse_cpu_list, processor_name

MIB = 1 << 20
Files = Callable[[dict[str, str]], Path]


@pytest.fixture
def system(tmp_path: Path) -> Files:
    """Writes files by path and returns the root of the tree."""

    def write_tree(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write_tree


V2_MOUNT = "29 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"


def test_no_control_group_sets_no_limits(tmp_path: Path) -> None:
    assert read_group_limits(tmp_path) == GroupLimits()


def test_version_2_limits_of_the_group_and_those_around_it(system: Files) -> None:
    root = system(
        {
            "proc/self/cgroup": "0::/batch/job\n",
            "proc/self/mountinfo": V2_MOUNT.format(root="/"),
            "sys/fs/cgroup/batch/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/batch/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/batch/memory.max": f"{512 * MIB}\n",
            "sys/fs/cgroup/batch/memory.current": f"{100 * MIB}\n",
            "sys/fs/cgroup/batch/memory.stat": f"anon 1\ninactive_file {30 * MIB}\n",
            "sys/fs/cgroup/batch/job/memory.max": "max\n",
        }
    )
    assert read_group_limits(root) == GroupLimits(cpus=1.5, memory=512 * MIB, memory_used=70 * MIB)


def test_the_group_with_the_least_left_decides(system: Files) -> None:
    root = system(
        {
            "proc/self/cgroup": "0::/a/b\n",
            "proc/self/mountinfo": V2_MOUNT.format(root="/"),
            "sys/fs/cgroup/a/memory.max": f"{400 * MIB}\n",
            "sys/fs/cgroup/a/memory.current": f"{390 * MIB}\n",
            "sys/fs/cgroup/a/b/memory.max": f"{200 * MIB}\n",
            "sys/fs/cgroup/a/b/memory.current": f"{10 * MIB}\n",
        }
    )
    limits = read_group_limits(root)
    assert (limits.memory, limits.memory_used) == (400 * MIB, 390 * MIB)


@pytest.mark.parametrize("mounted", ["/docker/1234", "/elsewhere"])
def test_a_container_sees_only_its_part_of_the_hierarchy(system: Files, mounted: str) -> None:
    root = system(
        {
            "proc/self/cgroup": "0::/docker/1234\n",
            "proc/self/mountinfo": V2_MOUNT.format(root=mounted),
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        }
    )
    assert read_group_limits(root).cpus == 4.0


def test_version_1_controllers_are_mounted_apart(system: Files) -> None:
    root = system(
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/other\n",
            "proc/self/mountinfo": (
                "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            ),
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{64 * MIB}\n",
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{20 * MIB}\n",
            "sys/fs/cgroup/memory/job/memory.stat": f"inactive_file 1\ntotal_inactive_file {5 * MIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        }
    )
    assert read_group_limits(root) == GroupLimits(cpus=0.5, memory=64 * MIB, memory_used=15 * MIB)


@given(text=st.text(max_size=80))
def test_odd_files_never_fail(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("odd")
    names = ["proc/self/cgroup", "proc/self/mountinfo", "proc/cpuinfo", "proc/meminfo"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert detect_hardware(root).cores_usable >= 1


CPUINFO = "processor\t: 0\nmodel name\t: Imaginary 9000\ncpu MHz\t\t: 1\nflags\t\t: fpu avx2 fma avx512f\n"


def a_machine(cpus: int = 4) -> dict[str, str]:
    files = {
        "proc/cpuinfo": CPUINFO,
        "proc/meminfo": "MemTotal:       8192 kB\nMemFree:  1 kB\nMemAvailable:   4096 kB\n",
    }
    caches = {"index0": ("1", "Data", "32K", "{n}"), "index1": ("1", "Instruction", "64K", "{n}"),
              "index2": ("2", "Unified", "1M", "{n}"), "index3": ("3", "Unified", "32768K", "0-3")}  # fmt: skip
    for n in range(cpus):
        cpu = f"sys/devices/system/cpu/cpu{n}"
        files[f"{cpu}/topology/thread_siblings_list"] = f"{n // 2 * 2}-{n // 2 * 2 + 1}\n"
        for index, (level, kind, size, shared) in caches.items():
            folder = f"{cpu}/cache/{index}"
            files |= {f"{folder}/level": level, f"{folder}/type": kind, f"{folder}/size": size,
                      f"{folder}/shared_cpu_list": shared.format(n=n)}  # fmt: skip
    return files


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


@pytest.mark.usefixtures("four_cores")
def test_a_whole_machine(system: Files) -> None:
    found = detect_hardware(system(a_machine()))
    assert found.processor == "Imaginary 9000"
    assert found.vector_extensions == ("FMA", "AVX2", "AVX-512F")
    assert found.caches == (
        Cache(1, "data", 32 << 10, 1),
        Cache(2, "unified", MIB, 1),
        Cache(3, "unified", 32 * MIB, 4),
    )
    assert (found.cores_online, found.cores_allowed, found.physical_cores, found.cores_usable) == (8, 4, 2, 4)
    assert (found.memory_total, found.memory_available, found.memory_limit) == (8 * MIB, 4 * MIB, None)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(("quota", "usable"), [("50000", 1), ("150000", 2), ("900000", 4), ("max", 4)])
def test_a_quota_bounds_the_usable_cores(system: Files, quota: str, usable: int) -> None:
    root = system(
        {
            **a_machine(),
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2_MOUNT.format(root="/"),
            "sys/fs/cgroup/cpu.max": f"{quota} 100000\n",
            "sys/fs/cgroup/memory.max": f"{3 * MIB}\n",
            "sys/fs/cgroup/memory.current": f"{MIB}\n",
        }
    )
    found = detect_hardware(root)
    assert found.cores_usable == usable
    assert (found.memory_available, found.memory_limit) == (2 * MIB, 3 * MIB)


def test_arm_and_riscv_tell_their_extensions(system: Files) -> None:
    arm = detect_hardware(system({"proc/cpuinfo": "Features\t: fp asimd asimddp i8mm sve\nHardware\t: Board X\n"}))
    assert arm.vector_extensions == ("NEON", "dot product", "I8MM", "SVE")
    assert arm.processor == "Board X"
    riscv = detect_hardware(system({"proc/cpuinfo": "isa\t\t: rv64imafdcv_zicsr\nuarch\t\t: thead,c920\n"}))
    assert (riscv.vector_extensions, riscv.processor) == (("RVV",), "thead,c920")


def test_where_nothing_is_told_names_and_sizes_are_still_known(tmp_path: Path) -> None:
    found = detect_hardware(tmp_path)
    assert found.processor
    assert found.memory_total > 0
    assert (found.caches, found.vector_extensions, found.physical_cores) == ((), (), None)


def test_this_machine_can_be_looked_at() -> None:
    found = detect_hardware()
    assert 1 <= found.cores_usable <= found.cores_allowed <= found.cores_online
    assert 0 < found.memory_available <= found.memory_total


@given(st.sets(st.integers(0, 200)))
def test_processor_lists_are_read_as_the_kernel_writes_them(numbers: set[int]) -> None:
    assert parse_cpu_list(",".join(map(str, sorted(numbers))) + "\n") == numbers


def test_ranges_of_processors() -> None:
    assert parse_cpu_list("0-3,8\n") == {0, 1, 2, 3, 8}


def test_the_first_name_that_is_told_counts() -> None:
    assert processor_name("cpu MHz : 3\nmodel name : A  \nmodel name : B\n") == "A"
