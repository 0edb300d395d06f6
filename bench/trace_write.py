"""Where the time of one write, or of one commit, goes: what scripts/trace-write runs.

Three nodes, one client that writes one key again and again, or moves amounts between two keys in transactions, and the kernel's own record (perf) of when each process sends, receives and
syncs. Of each write the moments are put in order; what is printed is the median of each part over all writes, in µs from when the client
sent it; or, of commits, the one of median length, moment by moment. Wants root, perf and a machine that does nothing else.
"""
import argparse
import os
import re
import statistics
import subprocess

from compare import Kahuna

CALLS = ("sendto", "recvfrom", "fdatasync")
EVENT = re.compile(r"^\s*(?P<name>.+?)\s+(?P<pid>\d+)/\d+\s+(?P<at>[\d.]+):\s+syscalls:sys_(?P<edge>enter|exit)_(?P<call>\w+):\s*(?P<rest>.*)$")


def record(cluster, workload, seconds):
    data = os.path.join(cluster.directory, "perf.data")
    events = ",".join(f"syscalls:sys_{edge}_{call}" for call in CALLS for edge in ("enter", "exit"))
    load = subprocess.Popen([f"{cluster.build}/bin/kahuna-bench", "-c", cluster.endpoints, "--workload", workload, "--key-space", "1" if workload == "set" else "1000", "--concurrency", "1",
                             "--duration", str(seconds + 3), "--warmup", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["sleep", "2"], check=True)
    pids = [p.pid for p in cluster.processes]
    subprocess.run(["perf", "record", "-q", "-o", data, "-e", events, "-p", ",".join(str(pid) for pid in [*pids, load.pid]), "--", "sleep", str(seconds)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    load.wait()
    text = subprocess.run(["perf", "script", "-i", data, "-F", "comm,pid,tid,time,event,trace", "--ns"], check=True, capture_output=True, text=True).stdout
    return pids, load.pid, text


def events(text):
    """Of perf's lines: (µs, process, call, whether it is its end, file descriptor or None, result or length)."""
    for line in text.splitlines():
        found = EVENT.match(line)
        if not found:
            continue
        rest = found["rest"]
        descriptor = re.search(r"fd: (0x[0-9a-f]+)", rest)
        size = re.search(r"len: (0x[0-9a-f]+)", rest)
        value = int(size[1], 16) if size else int(rest, 16) if found["edge"] == "exit" else 0
        yield float(found["at"]) * 1e6, int(found["pid"]), found["call"], found["edge"] == "exit", int(descriptor[1], 16) if descriptor else None, value


def writes(found, client):
    """The events of each write: from what the client sends to what it sends next."""
    current = []
    for event in found:
        if event[1] == client and event[2] == "sendto" and not event[3]:
            if current:
                yield current
            current = []
        if current or event[1] == client:
            current.append(event)


def moments(write, client, nodes):
    """By name, when it happened, from when the client sent the write; None where the write was disturbed by something else."""
    began = write[0][0]

    def first(process, call, is_end, after=began, descriptor=None):
        times = [e[0] for e in write if e[1] == process and e[2] == call and e[3] == is_end and e[0] >= after and descriptor in (None, e[4])]
        return times[0] if times else None

    received = {node: first(node, "recvfrom", True) for node in nodes}
    if None in received.values():
        return None
    leader = min(nodes, key=received.get)
    asked_over = next(e[4] for e in write if e[1] == leader and e[2] == "recvfrom" and not e[3])
    followers = [node for node in nodes if node != leader]
    acknowledged = {node: first(node, "sendto", False, received[node]) for node in followers}
    synced = {node: (first(node, "fdatasync", False), first(node, "fdatasync", True)) for node in nodes}
    if None in acknowledged.values() or any(None in pair for pair in synced.values()):
        return None
    fastest = min(followers, key=acknowledged.get)
    told = first(leader, "recvfrom", True, acknowledged[fastest])
    answered = first(leader, "sendto", False, began, asked_over)
    done = first(client, "recvfrom", True)
    sent = first(leader, "sendto", False, received[leader])
    if None in (told, answered, done, sent) or not told <= answered <= done:
        return None
    named = {
        "the leader has received it": received[leader],
        "the leader sends the entry to its followers": sent,
        "the leader's log: fdatasync begins": synced[leader][0],
        "the leader's log: fdatasync ends": synced[leader][1],
        "the fastest follower has received the entry": received[fastest],
        "the fastest follower's log: fdatasync begins": synced[fastest][0],
        "the fastest follower's log: fdatasync ends": synced[fastest][1],
        "the fastest follower acknowledges": acknowledged[fastest],
        "the leader has received that": told,
        "the leader answers": answered,
        "the client has the answer": done,
    }
    return {name: at - began for name, at in named.items()}


def ends_with_answer(requests, client):
    """Of each request what happened until the client had its answer."""
    for request in requests:
        answered = next((i for i, e in enumerate(request) if e[1] == client and e[2] == "recvfrom" and e[3]), None)
        if answered is not None:
            yield request[:answered + 1]


def print_commit(found, client, nodes):
    """The commit over two partitions of median length: those that more than one round of syncs was waited for."""
    def syncs(request):
        return max(sum(e[1] == node and e[2] == "fdatasync" and not e[3] for e in request) for node in nodes)

    commits = sorted((r for r in ends_with_answer(writes(found, client), client) if syncs(r) >= 2), key=lambda r: r[-1][0] - r[0][0])
    if not commits:
        raise SystemExit("perf recorded no commit over two partitions: is this root, and is the machine quiet?")
    chosen = commits[len(commits) // 2]
    names = {client: "client", **{node: f"n{i + 1}" for i, node in enumerate(nodes)}}
    words = {("sendto", False): "sends", ("recvfrom", True): "receives", ("fdatasync", False): "begins to sync", ("fdatasync", True): "has synced"}
    print(f"{len(commits)} commits that were answered behind two syncs of a node or more; the one of median length, in µs")
    for at, process, call, is_end, _, value in chosen:
        if (call, is_end) in words and (call != "recvfrom" or 0 < value < 1 << 31):
            print(f"{at - chosen[0][0]:7.0f}  {names[process]:7} {words[call, is_end]}" + (f" {value} bytes" if call != "fdatasync" else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="where the binaries are")
    parser.add_argument("--workload", choices=("set", "transfer"), default="set")
    parser.add_argument("--seconds", type=int, default=2, help="that are recorded")
    options = parser.parse_args()
    with Kahuna(options.build) as cluster:
        nodes, client, text = record(cluster, options.workload, options.seconds)
    if options.workload == "transfer":
        return print_commit(events(text), client, nodes)
    whole = [found for found in (moments(write, client, nodes) for write in writes(events(text), client)) if found]
    if not whole:
        raise SystemExit("perf recorded no whole write: is this root, and is the machine quiet?")
    print(f"{len(whole)} writes, µs from when the client sends, median (10th, 90th percentile)")
    for name in sorted(whole[0], key=lambda name: statistics.median(found[name] for found in whole)):
        times = sorted(found[name] for found in whole)
        print(f"| {name} | {statistics.median(times):.0f} ({times[len(times) // 10]:.0f}, {times[len(times) * 9 // 10]:.0f}) |")


if __name__ == "__main__":
    main()
