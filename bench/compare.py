"""Kahuna, etcd and a bare replicated log in turns on one machine: what scripts/compare runs.

Each round starts every system anew, with an empty directory, runs its figures one after the other, and stops it. What is printed is the
median over the rounds; a ratio is that of two medians of one run. Nothing here waits for ever: a system that does not start ends the run.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

KEYS = 100_000

# Name, what etcdload is told, what kahuna-bench is told, workers, connections.
def figures():
    for clients in (1, 16, 64, 256):
        yield f"set {clients}", "--op put", "--workload set", clients, clients
    for clients in (64, 256):
        yield f"set {clients} over 16", "--op put", "--workload set", clients, 16
    for clients in (1, 16, 64, 256):
        yield f"get {clients}", "--op get", "--workload get", clients, clients
    for clients in (64, 256):
        yield f"get {clients} over 16", "--op get", "--workload get", clients, 16
    for clients in (64, 256):
        yield f"mixed 50/50 {clients}", "--op mix --wfrac 0.5", "--workload mixed --read-pct 50", clients, clients
        yield f"mixed 95/5 {clients}", "--op mix --wfrac 0.05", "--workload mixed --read-pct 95", clients, clients
    yield "cas 64", "--op cas", "--workload cas", 64, 64
    yield "bucket 64", "--op range", "--workload bucket", 64, 64
    yield "expiring 64", "--op leaseown", "--workload set --expires 600000", 64, 64
    yield "eset 256", None, "--workload eset", 256, 256
    for clients in (1, 64, 256):
        yield f"rmw {clients}", "--op cas", "--workload rmw", clients, clients
        yield f"rmw optimistic {clients}", "--op cas", "--workload rmw --locking optimistic", clients, clients
        yield f"transfer {clients}", "--op xfer", "--workload transfer", clients, clients
        yield f"transfer optimistic {clients}", "--op xfer", "--workload transfer --locking optimistic", clients, clients
    yield "rmw hot 64", "--op cas --keys 10", "--workload rmw --key-space 10", 64, 64
    yield "transfer hot 64", "--op xfer --keys 10", "--workload transfer --key-space 10", 64, 64


# What is also measured with one partition: etcd and the floor have one log each.
ONE_PARTITION = "set"

FLOOR = [("set 1", 1, 1), ("set 16", 16, 16), ("set 64", 64, 64), ("set 256", 256, 256), ("set 64 over 16", 64, 16), ("set 256 over 16", 256, 16)]


def run(command, **more):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900, **more)


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def directory_mb(path):
    # What the files take on disk: preallocated files are not all content.
    return int(run(["du", "-s", "-B1", path]).stdout.split()[0]) / 1e6


class Cluster:
    """Processes with a directory; a context manager."""

    def __init__(self, build, nodes=3, arguments=()):
        self.build = build
        self.nodes = nodes
        self.arguments = arguments
        self.directory = tempfile.mkdtemp(prefix="kahuna-compare-")
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, command, **more):
        with open(os.path.join(self.directory, f"log{len(self.processes)}"), "w") as log:
            self.processes.append(subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, **more))

    def wait_for(self, probe):
        for _ in range(300):
            if probe():
                return
            time.sleep(0.1)
        # The directory goes with the cluster, so what they said is said here.
        said = "".join(open(os.path.join(self.directory, f"log{i}")).read()[-1000:] for i in range(len(self.processes)))
        sys.exit(f"{type(self).__name__} did not start within 30 s; the end of its output:\n{said}")

    def footprint(self):
        return {
            "resident MB a node": statistics.mean(resident_mb(p.pid) for p in self.processes),
            "disk MB a node": directory_mb(self.directory) / len(self.processes),
        }


class Kahuna(Cluster):
    def start(self):
        addresses = [f"127.0.0.1:{4970 + 2 * i}" for i in range(self.nodes)]
        members = ",".join(f"n{i}={address}" for i, address in enumerate(addresses, 1))
        for i, address in enumerate(addresses, 1):
            self.spawn([f"{self.build}/bin/kahuna-node", "--node-id", f"n{i}", "--listen", address, "--initial-cluster", members,
                        "--data-dir", f"{self.directory}/n{i}", "--http", "off", *self.arguments])
        self.endpoints = ",".join(addresses)
        self.wait_for(lambda: run([f"{self.build}/bin/kahuna-cli", "-c", self.endpoints, "--set", "compare/ready", "--value", "1"]).returncode == 0)
        time.sleep(1)

    def load(self, told, clients, connections, seconds):
        out = run([f"{self.build}/bin/kahuna-bench", "-c", self.endpoints, *told.split(), "--concurrency", clients, "--connections", connections,
                   "--duration", seconds, "--warmup", 1, "--format", "json"]).stdout
        # The operations of a mix together; the percentiles are those of the slower kind.
        operations = json.loads(out)["operations"]
        return {"per_second": sum(o["per_second"] for o in operations), "p50": max(o["p50_ms"] for o in operations),
                "p99": max(o["p99_ms"] for o in operations), "errors": sum(sum(o["errors"].values()) for o in operations)}

    def fill(self, keys):
        run([f"{self.build}/bin/kahuna-bench", "-c", self.endpoints, "--workload", "get", "--key-space", keys, "--concurrency", 1, "--duration", 1])


class Etcd(Cluster):
    def start(self):
        peers = ",".join(f"n{i}=http://127.0.0.1:{23900 + i}" for i in (1, 2, 3))
        for i in (1, 2, 3):
            client, peer = f"http://127.0.0.1:{23890 + i}", f"http://127.0.0.1:{23900 + i}"
            self.spawn([os.environ.get("ETCD", "etcd"), "--name", f"n{i}", "--data-dir", f"{self.directory}/n{i}", "--listen-client-urls", client,
                        "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", peers,
                        "--quota-backend-bytes", 8 << 30, "--log-level", "error"])
        self.endpoints = ",".join(f"127.0.0.1:{23890 + i}" for i in (1, 2, 3))
        environment = {**os.environ, "ETCDCTL_API": "3"}
        self.wait_for(lambda: run([os.environ.get("ETCDCTL", "etcdctl"), "--endpoints", self.endpoints, "--command-timeout", "1s", "endpoint", "health"],
                                  env=environment).returncode == 0)
        time.sleep(1)

    def load(self, told, clients, connections, seconds):
        out = run([f"{self.build}/etcdload", *told.split(), "--clients", clients, "--conns", connections, "--warmup", 1, "--duration", seconds,
                   "--endpoints", self.endpoints]).stdout
        found = json.loads(out.splitlines()[-1])
        return {"per_second": found["ops_s"], "p50": found["p50"], "p99": found["p99"], "errors": found["errs"]}

    def fill(self, keys):
        run([f"{self.build}/etcdload", "--op", "load", "--total", keys, "--clients", 256, "--conns", 16, "--maxdur", 600, "--endpoints", self.endpoints])


class Floor(Cluster):
    def start(self):
        tool = f"{self.build}/raftfloor"
        for i, port in ((2, 24892), (3, 24893)):
            self.spawn([tool, "follower", port, f"{self.directory}/{i}", "file"])
        time.sleep(0.5)
        self.spawn([tool, "leader", 24891, f"{self.directory}/1", "file", 24892, 24893])
        time.sleep(2)

    def load(self, clients, connections, seconds):
        out = run([f"{self.build}/raftload", "--op", "put", "--clients", clients, "--conns", connections, "--warmup", 1, "--duration", seconds,
                   "--endpoints", "127.0.0.1:24891"]).stdout
        found = json.loads(out.splitlines()[-1])
        return {"per_second": found["ops_s"], "p50": found["p50"], "p99": found["p99"], "errors": found["errs"]}


def wanted(name, only):
    return not only or any(name.startswith(prefix) for prefix in only)


def measure(options):
    found = {}  # system → figure → list of results

    def note(system, name, result):
        found.setdefault(system, {}).setdefault(name, []).append(result)
        print(f"{system:7} {name:26} {result['per_second']:10.0f} /s  p50 {result['p50']:8.2f}  p99 {result['p99']:8.2f} ms"
              + (f"  {result['errors']} errors" if result["errors"] else ""), file=sys.stderr, flush=True)

    for _ in range(options.rounds):
        with Etcd(options.build) as etcd:
            etcd.fill(KEYS)
            for name, told, _, clients, connections in figures():
                if told and wanted(name, options.only):
                    note("etcd", name, etcd.load(told, clients, connections, options.seconds))
        with Kahuna(options.build) as kahuna:
            kahuna.fill(KEYS)
            for name, _, told, clients, connections in figures():
                if wanted(name, options.only):
                    note("kahuna", name, kahuna.load(told, clients, connections, options.seconds))
        with Kahuna(options.build, arguments=["--partitions", 1]) as kahuna:
            kahuna.fill(KEYS)
            for name, _, told, clients, connections in figures():
                if name.startswith(ONE_PARTITION) and wanted(name, options.only):
                    note("kahuna1", name, kahuna.load(told, clients, connections, options.seconds))
        with Floor(options.build) as floor:
            for name, clients, connections in FLOOR:
                if wanted(name, options.only):
                    note("floor", name, floor.load(clients, connections, options.seconds))
    return found


def table(found):
    def median(system, name, what):
        results = found.get(system, {}).get(name)
        return statistics.median(r[what] for r in results) if results else None

    def cell(system, name):
        rate = median(system, name, "per_second")
        return f"{rate:,.0f} ({median(system, name, 'p50'):.2f}, {median(system, name, 'p99'):.2f})" if rate else ""

    def ratio(system, name, what, other):
        mine, theirs = median(system, name, what), median(other, name, what)
        return f"{mine / theirs:.2f}" if mine and theirs else ""

    lines = ["| figure | Kahuna /s (p50, p99 ms) | etcd /s (p50, p99 ms) | times etcd | p99 of etcd's | of the floor |", "| --- | --- | --- | --- | --- | --- |"]
    for system, remark in (("kahuna", ""), ("kahuna1", ", one partition")):
        for name, *_ in figures():
            if name in found.get(system, {}):
                cells = (name + remark, cell(system, name), cell("etcd", name), ratio(system, name, "per_second", "etcd"),
                         ratio(system, name, "p99", "etcd"), ratio(system, name, "per_second", "floor"))
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def footprints(options):
    for system in (Etcd, Kahuna):
        with system(options.build) as cluster:
            cluster.fill(options.footprint)
            time.sleep(10)
            sizes = ", ".join(f"{value:.0f} {name}" for name, value in cluster.footprint().items())
            print(f"after {options.footprint} puts of 100 bytes: {system.__name__}: {sizes}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="where the binaries are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="that each figure is measured for")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="figures whose names begin so, e.g. set,get")
    parser.add_argument("--footprint", type=int, metavar="KEYS", help="instead: memory and disk of a node after that many puts")
    parser.add_argument("--json", metavar="FILE", help="where every single result goes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that no process is left behind
    if options.footprint:
        return footprints(options)
    found = measure(options)
    if options.json:
        with open(options.json, "w") as out:
            json.dump(found, out)
    print(table(found))


if __name__ == "__main__":
    main()
