"""The peers `cpython`, `loky` and `joblib`: multiprocessing, concurrent.futures and their kin.

The names of the metrics, the lines and the command line are those of the Rust programs:

    python bench_mp.py [--list] [--exact] [--reps N] [METRIC]
"""

import argparse
import concurrent.futures
import json
import multiprocessing as mp
import os
import resource
import time
from multiprocessing import shared_memory

MIB = 1 << 20
# How long the processors have worked: version 1 of the control groups, version 2.
CPUACCT = "/sys/fs/cgroup/cpuacct/cpuacct.usage"
CPU_STAT = "/sys/fs/cgroup/cpu.stat"
now = time.perf_counter


def pin(*cores):
    os.sched_setaffinity(0, cores or range(os.cpu_count()))


def busy_ns():
    if os.path.exists(CPUACCT):
        with open(CPUACCT) as f:
            return int(f.read())
    if os.path.exists(CPU_STAT):
        with open(CPU_STAT) as f:
            return 1000 * int(dict(line.split() for line in f)["usage_usec"])
    return None


def idle_now():
    """Whether less than a tenth of one core was busy for 15 ms; so where the system does not tell."""
    before, t = busy_ns(), now()
    time.sleep(0.015)
    return before is None or (busy_ns() - before) / (now() - t) < 1e8


class Bench:
    def __init__(self, peer, args):
        self.peer, self.args, self.listed = peer, args, set()

    def wants(self, *metrics):
        """Whether one of these figures is to be taken; with --list they are named instead."""
        if self.args.list:
            for metric in metrics:
                if metric not in self.listed:
                    self.listed.add(metric)
                    print(metric)
            return False
        if self.args.exact:
            return self.args.metric in metrics
        return any(self.args.metric in metric for metric in metrics)

    def __call__(self, metric, unit, once, peer=None, reps=None):
        """Takes a figure, in `unit`, each time from `once`, after one that warms up.

        A repetition counts only when the machine was idle just before and just after it, as in the
        Rust programs. `reps` are the most.
        """
        if not self.wants(metric):
            return
        once()
        until = now() + float(os.environ.get("BENCH_PATIENCE", 20))
        values, noisy = [], 0
        for _ in range(min(reps or self.args.reps, self.args.reps)):
            while True:
                while now() < until and not idle_now():
                    pass
                value = once()
                if idle_now():
                    break
                if now() >= until:
                    noisy += 1
                    break
            values.append(value)
        values.sort()
        print(json.dumps({
            "peer": peer or self.peer, "metric": metric, "unit": unit,
            "median": round(values[len(values) // 2], 4), "min": round(values[0], 4),
            "max": round(values[-1], 4), "reps": len(values), "noisy": noisy,
            "values": [round(value, 4) for value in values],
        }), flush=True)


def per(scale, n, f):
    t = now()
    f()
    return (now() - t) * scale / n


def noop():
    pass


def inc(x):
    return x + 1


# ---- processes ----------------------------------------------------------

def processes(bench):
    for method, metric, n in [("fork", "proc_fork", 30), ("spawn", "proc_spawn_call", 5), ("forkserver", "proc_forkserver", 10)]:
        ctx = mp.get_context(method)

        def once():
            def run():
                for _ in range(n):
                    p = ctx.Process(target=noop)
                    p.start()
                    p.join()
            return per(1e6, n, run)
        bench(metric, "us", once)
    if bench.wants("proc_fork_rss100M"):
        big = bytearray(100 * MIB)
        big[::4096] = b"x" * len(big[::4096])
        ctx = mp.get_context("fork")

        def once():
            def run():
                for _ in range(5):
                    p = ctx.Process(target=noop)
                    p.start()
                    p.join()
            return per(1e6, 5, run)
        bench("proc_fork_rss100M", "us", once)
        del big


# ---- queues and pipes ---------------------------------------------------

def produce(put, item, n, core):
    if core is not None:
        pin(core)
    for _ in range(n):
        put(item)


def queues(bench):
    ctx = mp.get_context("fork")
    kinds = [("cpython:Queue", ctx.Queue, "put", "get"), ("cpython:SimpleQueue", ctx.SimpleQueue, "put", "get")]
    for peer, make, put, get in kinds:
        for tag, cores in [("", (0, 1)), ("_free", (None, None))]:
            for name, item, n in [("8B", 7, 20_000), ("1KiB", b"x" * 1024, 10_000), ("64KiB", b"x" * 65536, 2000), ("1MiB", b"x" * MIB, 100)]:
                if tag and name not in ("8B", "1MiB"):
                    continue

                def once():
                    q = make()
                    p = ctx.Process(target=produce, args=(getattr(q, put), item, n + 1, cores[1]))
                    p.start()
                    if cores[0] is not None:
                        pin(cores[0])
                    take = getattr(q, get)
                    take()
                    t = now()
                    for _ in range(n):
                        take()
                    t = now() - t
                    pin()
                    p.join()
                    q.close()
                    return t * 1e9 / n if name == "8B" else n * len(item) / t / (1 << 30)
                bench(f"queue_{name}_1p1c{tag}", "ns" if name == "8B" else "GiB/s", once, peer)

        def once_2p2c():
            q = make()
            n = 10_000
            ps = [ctx.Process(target=produce, args=(getattr(q, put), 7, n, None)) for _ in range(2)]
            ps += [ctx.Process(target=consume, args=(getattr(q, get), n)) for _ in range(2)]
            t = now()
            for p in ps:
                p.start()
            for p in ps:
                p.join()
            return (now() - t) * 1e9 / (2 * n)
        bench("queue_8B_2p2c", "ns", once_2p2c, peer, 5)


def consume(take, n):
    for _ in range(n):
        take()


def echo(conn, core, raw):
    if core is not None:
        pin(core)
    recv, send = (conn.recv_bytes, conn.send_bytes) if raw else (conn.recv, conn.send)
    while True:
        v = recv()
        send(v)
        if not v:
            return


def stream(conn, item, n, core):
    pin(core)
    for _ in range(n):
        conn.send(item)


def pipes(bench):
    ctx = mp.get_context("fork")
    for tag, cores in [("", (0, 1)), ("_samecore", (0, 0)), ("_free", (None, None))]:
        for name, item, n, raw in [("8B", 7, 1000, False), ("8B_bytes", b"12345678", 1000, True), ("1MiB", b"x" * MIB, 20, False)]:
            if name != "8B" and tag or not bench.wants(f"pipe_rtt_{name}{tag}"):
                continue
            for duplex, peer in [(True, "cpython:Pipe")]:
                a, b = ctx.Pipe(duplex)
                p = ctx.Process(target=echo, args=(b, cores[1], raw))
                p.start()
                if cores[0] is not None:
                    pin(cores[0])
                send, recv = (a.send_bytes, a.recv_bytes) if raw else (a.send, a.recv)

                def once():
                    def run():
                        for _ in range(n):
                            send(item)
                            recv()
                    return per(1e6, n, run)
                bench(f"pipe_rtt_{name}{tag}", "us", once, peer)
                send(b"" if raw else 0)
                recv()
                p.join()
                pin()
    for name, item, n in [("8B", 7, 20_000), ("1MiB", b"x" * MIB, 100)]:
        for duplex, peer in [(True, "cpython:Pipe"), (False, "cpython:Pipe-simplex")]:
            def once():
                r, w = ctx.Pipe(duplex)
                p = ctx.Process(target=stream, args=(w, item, n + 1, 1))
                p.start()
                pin(0)
                r.recv()
                t = now()
                for _ in range(n):
                    r.recv()
                t = now() - t
                pin()
                p.join()
                return t * 1e9 / n if name == "8B" else n * len(item) / t / (1 << 30)
            bench(f"queue_{name}_1p1c", "ns" if name == "8B" else "GiB/s", once, peer)

    if bench.wants("send_handle_rtt"):
        a, b = ctx.Pipe()
        p = ctx.Process(target=answer_over_sent, args=(b,))
        p.start()

        def once():
            def run():
                for _ in range(50):
                    mine, theirs = ctx.Pipe()
                    a.send(theirs)
                    mine.recv()
            return per(1e6, 50, run)
        bench("send_handle_rtt", "us", once)
        a.send(None)
        p.join()


def answer_over_sent(conn):
    while (c := conn.recv()) is not None:
        c.send(1)
        c.close()


# ---- locks and shared values --------------------------------------------

def pairs(lock, n):
    acquire, release = lock.acquire, lock.release
    for _ in range(n):
        acquire()
        release()


def add(value, n, go=None, core=None):
    if core is not None:
        pin(core)
    if go:
        go.wait()
    for _ in range(n):
        with value.get_lock():
            value.value += 1


def turn(cond, word, me, n, core):
    pin(core)
    for i in range(n):
        with cond:
            while word.value != 2 * i + me:
                cond.wait()
            word.value += 1
            cond.notify()


def meet(barrier, n, core):
    pin(core)
    for _ in range(n):
        barrier.wait()


def flip(a, b, n, core):
    pin(core)
    for _ in range(n):
        a.wait()
        a.clear()
        b.set()


def locks(bench):
    ctx = mp.get_context("fork")
    n = 20_000
    for peer, lock in [("cpython:Lock", ctx.Lock()), ("cpython:RLock", ctx.RLock()), ("cpython:Semaphore", ctx.Semaphore())]:
        bench("lock_uncontended", "ns", lambda: per(1e9, n, lambda: pairs(lock, n)), peer)
    v = ctx.Value("q", 0)
    bench("value_inc_lock", "ns", lambda: per(1e9, n, lambda: add(v, n)))

    def contended():
        v = ctx.Value("q", 0)
        go = ctx.Barrier(2)
        p = ctx.Process(target=add, args=(v, n, go, 1))
        p.start()
        pin(0)
        go.wait()
        t = now()
        add(v, n)
        p.join()
        t = now() - t
        pin()
        assert v.value == 2 * n
        return t * 1e9 / (2 * n)
    bench("value_inc_lock_2procs", "ns", contended)

    def two(target, args, play):
        p = ctx.Process(target=target, args=args)
        p.start()
        t = now()
        play()
        t = now() - t
        p.join()
        pin()
        return t
    n2 = 500
    for tag, (mine, its) in [("", (0, 1)), ("_samecore", (0, 0))]:
        def turns():
            cond, word = ctx.Condition(), ctx.RawValue("q", 0)
            return two(turn, (cond, word, 1, n2, its), lambda: turn(cond, word, 0, n2, mine)) * 1e6 / n2
        bench(f"turns_2procs{tag}", "us", turns, "cpython:Condition")

        def barrier():
            b = ctx.Barrier(2)
            return two(meet, (b, n2, its), lambda: meet(b, n2, mine)) * 1e6 / n2
        bench(f"turns_2procs{tag}", "us", barrier, "cpython:Barrier")

        def events():
            a, b = ctx.Event(), ctx.Event()

            def play():
                pin(mine)
                for _ in range(n2):
                    a.set()
                    b.wait()
                    b.clear()
            return two(flip, (a, b, n2, its), play) * 1e6 / n2
        bench(f"turns_2procs{tag}", "us", events, "cpython:Event")

    arr = ctx.Array("q", 1000)

    def read_array():
        for i in range(1000):
            arr[i]
    bench("array_read_elem", "ns", lambda: per(1e9, 1000, read_array))


# ---- managers -----------------------------------------------------------

def managers(bench):
    operations = ("list_append", "list_getitem", "dict_set", "dict_get", "value_get", "value_set", "lock_pair", "queue_put_get")
    if bench.wants(*(f"manager_{name}" for name in operations)):
        manager_operations(bench)
    bench("manager_start", "ms", lambda: per(1e3, 3, lambda: [mp.get_context("fork").Manager().shutdown() for _ in range(3)]))


def manager_operations(bench):
    with mp.get_context("fork").Manager() as m:
        lst, dct, val, lock, q = m.list(range(10)), m.dict(a=1), m.Value("q", 0), m.Lock(), m.Queue()

        def lock_pair():
            lock.acquire()
            lock.release()

        def put_get():
            q.put(1)
            q.get()
        ops = [("list_append", lambda: lst.append(1)), ("list_getitem", lambda: lst[0]), ("dict_set", lambda: dct.__setitem__("a", 2)),
               ("dict_get", lambda: dct["a"]), ("value_get", lambda: val.value), ("value_set", lambda: setattr(val, "value", 3)),
               ("lock_pair", lock_pair), ("queue_put_get", put_get)]
        for name, op in ops:
            def once():
                def run():
                    for _ in range(300):
                        op()
                return per(1e6, 300, run)
            bench(f"manager_{name}", "us", once)


# ---- pools --------------------------------------------------------------

DATA = range(100_000)


def pools(bench):
    if bench.wants("pool_apply_rtt", "pool_map_100k", "pool_map_100k_chunk1", "pool_map_10k_chunk1", "pool_imap_10k", "pool_1MiB_args"):
        pool_of_two(bench)

    def start():
        with mp.get_context("fork").Pool(2) as p:
            p.apply(noop)
    bench("pool_start_2", "ms", lambda: per(1e3, 1, start), "cpython:Pool")
    if bench.wants("pool_apply_rtt", "pool_map_10k_chunk1", "pool_map_100k"):
        for peer, make in executors():
            executor(bench, peer, make)
    if bench.wants("pool_map_10k_chunk1"):
        joblib_parallel(bench)


def pool_of_two(bench):
    blob = b"x" * MIB
    with mp.get_context("fork").Pool(2) as pool:
        def apply_rtt():
            def run():
                for i in range(500):
                    pool.apply_async(inc, (i,)).get()
            return per(1e6, 500, run)
        bench("pool_apply_rtt", "us", apply_rtt, "cpython:Pool")
        bench("pool_map_100k", "ms", lambda: per(1e3, 1, lambda: pool.map(inc, DATA)), "cpython:Pool")
        bench("pool_map_100k_chunk1", "ms", lambda: per(1e3, 1, lambda: pool.map(inc, DATA, 1)), "cpython:Pool", 5)
        bench("pool_map_10k_chunk1", "ms", lambda: per(1e3, 1, lambda: pool.map(inc, range(10_000), 1)), "cpython:Pool", 5)
        bench("pool_imap_10k", "ms", lambda: per(1e3, 1, lambda: list(pool.imap(inc, range(10_000)))), "cpython:Pool", 5)
        bench("pool_1MiB_args", "GiB/s", lambda: 50 * MIB / (1 << 30) / per(1, 1, lambda: pool.map(len, [blob] * 50, 1)), "cpython:Pool")


def executors():
    makers = [("cpython:ProcessPoolExecutor", lambda: concurrent.futures.ProcessPoolExecutor(2, mp_context=mp.get_context("fork")))]
    try:
        import loky
        makers.append(("loky", lambda: loky.get_reusable_executor(2, timeout=60)))
    except ImportError:
        pass
    return makers


def executor(bench, peer, make):
    with make() as ex:
        def submit_rtt():
            def run():
                for i in range(300):
                    ex.submit(inc, i).result()
            return per(1e6, 300, run)
        bench("pool_apply_rtt", "us", submit_rtt, peer)
        bench("pool_map_10k_chunk1", "ms", lambda: per(1e3, 1, lambda: list(ex.map(inc, range(10_000)))), peer, 5)
        bench("pool_map_100k", "ms", lambda: per(1e3, 1, lambda: list(ex.map(inc, DATA, chunksize=12_500))), peer, 5)


def joblib_parallel(bench):
    try:
        import joblib
    except ImportError:
        return
    with joblib.Parallel(n_jobs=2) as par:
        bench("pool_map_10k_chunk1", "ms", lambda: per(1e3, 1, lambda: par(joblib.delayed(inc)(i) for i in range(10_000))), "joblib", 5)


# ---- a worker is killed -------------------------------------------------

def die():
    os.kill(os.getpid(), 9)


def deaths(bench):
    """multiprocessing.Pool is left out: its caller waits forever."""
    for peer, make in executors():
        def once(replace):
            ex = make()
            list(ex.map(inc, range(4)))
            t = now()
            try:
                ex.submit(die).result()
            except Exception:
                pass
            if replace:  # the old executor is broken: take a new one
                ex = make()
                ex.submit(inc, 1).result()
            t = now() - t
            ex.shutdown()
            return t * 1e6
        bench("death_of_worker", "us", lambda: once(False), peer, 5)
        bench("death_of_worker_replaced", "us", lambda: once(True), peer, 5)


# ---- shared memory ------------------------------------------------------

def shm(bench):
    for metric, size in [("shm_create_4KiB", 4096), ("shm_create_1MiB", MIB)]:
        def once():
            def run():
                for _ in range(50):
                    s = shared_memory.SharedMemory(create=True, size=size)
                    s.buf[0] = 1
                    s.close()
                    s.unlink()
            return per(1e6, 50, run)
        bench(metric, "us", once)
    if bench.wants("shm_attach_1MiB"):
        s = shared_memory.SharedMemory(create=True, size=MIB)
        s.buf[0] = 1

        def once():
            def run():
                for _ in range(50):
                    t = shared_memory.SharedMemory(name=s.name)
                    t.buf[0]
                    t.close()
            return per(1e6, 50, run)
        bench("shm_attach_1MiB", "us", once)
        s.close()
        s.unlink()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--list", action="store_true")
    args.add_argument("--exact", action="store_true")
    args.add_argument("--reps", type=int, default=9)
    args.add_argument("metric", nargs="?", default="")
    # Some peers hold two files for every call.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bench = Bench("cpython", args.parse_args())
    for part in (processes, queues, pipes, locks, managers, shm, pools, deaths):
        part(bench)


if __name__ == "__main__":
    main()
