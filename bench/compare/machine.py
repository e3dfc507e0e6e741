"""What this machine is, and whether others use it."""
import os
import time


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def available_cpus():
    return len(os.sched_getaffinity(0))


def load_average():
    return os.getloadavg()[0]


def _ticks():
    """Of all CPUs together: those in use, also by other guests of the host, and all."""
    with open("/proc/stat", encoding="utf-8") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)  # less idle and waiting for disks


def busy_share(seconds=0.5):
    """Share of the CPUs that is in use. Asked while nothing of ours runs, it is what others take."""
    used, total = _ticks()
    time.sleep(seconds)
    used_after, total_after = _ticks()
    return (used_after - used) / max(total_after - total, 1)
