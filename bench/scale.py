"""What Kahuna costs at other sizes than those of bench/compare.py: what scripts/scale runs.

Partitions, nodes, keys; large values and what they do to small operations beside them; how long a node with many keys takes to start; what
an idle partition costs. Every part prints a table of its own. Each figure is one run: compare within a table, on a quiet machine.
"""
import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from compare import Kahuna, run


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def heading(*cells):
    print(flush=True)
    row(*cells)
    row(*("---" for _ in cells))


def rates(cluster, seconds, *workloads):
    results = [cluster.load(told, clients, connections, seconds) for told, clients, connections in workloads]
    return [f"{r['per_second']:,.0f} ({r['p50']:.2f}, {r['p99']:.2f})" + (f" {r['errors']} errors" if r["errors"] else "") for r in results]


SET, GET = ("--workload set", 64, 64), ("--workload get", 64, 64)


def partitions(options):
    heading("partitions", "set 64 /s (p50, p99 ms)", "get 64 /s", "CPU of an idle node, % of a core", "resident MB of a node that was just formed")
    for count in (1, 16, 64, 256):
        with Kahuna(options.build, arguments=("--partitions", count)) as cluster:
            pid = cluster.processes[0].pid
            resident = cluster.footprint()["resident MB a node"]
            time.sleep(5)
            idle = cpu_seconds(pid)
            time.sleep(10)
            idle = (cpu_seconds(pid) - idle) * 10
            row(count, *rates(cluster, options.seconds, SET, GET), f"{idle:.1f}", f"{resident:.0f}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nodes(options):
    heading("nodes (replicas)", "set 64 /s (p50, p99 ms)", "get 64 /s")
    for count in (1, 3, 5):
        with Kahuna(options.build, nodes=count, arguments=("--replication-factor", count)) as cluster:
            row(count, *rates(cluster, options.seconds, SET, GET))


def keys(options):
    heading("keys", "set 64 /s (p50, p99 ms)", "get 64 /s", "resident MB a node", "disk MB a node")
    for count in (1_000, 100_000, 1_000_000, 10_000_000):
        if count > options.keys_max:
            continue
        with Kahuna(options.build) as cluster:
            cluster.fill(count)
            found = rates(cluster, options.seconds, (SET[0] + f" --key-space {count}", 64, 64), (GET[0] + f" --fill no --key-space {count}", 64, 64))
            sizes = cluster.footprint()
            row(f"{count:,}", *found, *(f"{size:.0f}" for size in sizes.values()))


def values(options):
    heading("value", "set 16 /s (p50, p99 ms)", "MB/s of values", "small sets beside it, 16 clients: /s (p50, p99 ms)", "small sets alone")
    for size in (100, 4 << 10, 64 << 10, 1 << 20):
        with Kahuna(options.build) as cluster:
            large = f"--workload set --value-size {size} --key-space 200"
            alone = rates(cluster, options.seconds, ("--workload set", 16, 16))[0]
            whole = cluster.load(large, 16, 16, options.seconds)
            beside = {}
            thread = threading.Thread(target=lambda: beside.update(cluster.load(large, 16, 16, options.seconds + 4)))
            thread.start()
            time.sleep(2)
            small = rates(cluster, options.seconds, ("--workload set", 16, 16))[0]
            thread.join()
            row(f"{size:,}", f"{whole['per_second']:,.0f} ({whole['p50']:.2f}, {whole['p99']:.2f})", f"{whole['per_second'] * size / 1e6:.1f}", small, alone)


def starts(options):
    """One node with many keys: from its start until it serves, after each way of ending."""
    heading("keys", "how it ended", "seconds until it says that it is ready", "seconds until a read of a key is answered")
    directory = tempfile.mkdtemp(prefix="kahuna-scale-")
    command = [f"{options.build}/bin/kahuna-node", "--listen", "127.0.0.1:4970", "--data-dir", f"{directory}/n1", "--http", "off"]

    def start():
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        process.stdout.readline()
        ready = time.monotonic() - began
        answered = run([f"{options.build}/bin/kahuna-cli", "-c", "127.0.0.1:4970", "--get", "key-00000001"]).returncode == 0
        return process, ready, time.monotonic() - began if answered else float("nan")

    try:
        process, *_ = start()
        for how in (signal.SIGTERM, signal.SIGKILL):
            run([f"{options.build}/bin/kahuna-bench", "-c", "127.0.0.1:4970", "--workload", "get", "--key-space", options.keys_max_start, "--concurrency", 1, "--duration", 1])
            process.send_signal(how)
            process.wait()
            process, ready, served = start()
            row(f"{options.keys_max_start:,}", how.name, f"{ready:.2f}", f"{served:.2f}")
        process.send_signal(signal.SIGTERM)
        process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


PARTS = {"partitions": partitions, "nodes": nodes, "keys": keys, "values": values, "starts": starts}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="where the binaries are")
    parser.add_argument("--seconds", type=int, default=5, help="that each figure is measured for")
    parser.add_argument("--keys-max", type=int, default=1_000_000, help="the largest key space; 10000000 takes ten minutes")
    parser.add_argument("--keys-max-start", type=int, default=1_000_000, help="keys of the node that is started anew")
    parser.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(PARTS) + "; all unless given")
    options = parser.parse_args()
    for part in options.parts or PARTS:
        if part not in PARTS:
            parser.error(f"there is no part '{part}'; give some of " + ", ".join(PARTS))
        PARTS[part](options)


if __name__ == "__main__":
    main()
