"""Bodies of line protocol for benchmarks: deterministic by seed, of the shapes that the field measures with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

_START_NS = 1_700_000_000_000_000_000
_STEP_NS = 10_000_000_000

_CPU_FIELDS = (
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
)
_REGIONS = {
    "us-east-1": ("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1e"),
    "us-west-1": ("us-west-1a", "us-west-1b"),
    "us-west-2": ("us-west-2a", "us-west-2b", "us-west-2c"),
    "eu-west-1": ("eu-west-1a", "eu-west-1b", "eu-west-1c"),
    "eu-central-1": ("eu-central-1a", "eu-central-1b"),
    "ap-southeast-1": ("ap-southeast-1a", "ap-southeast-1b"),
    "ap-southeast-2": ("ap-southeast-2a", "ap-southeast-2b"),
    "ap-northeast-1": ("ap-northeast-1a", "ap-northeast-1c"),
    "sa-east-1": ("sa-east-1a", "sa-east-1b", "sa-east-1c"),
}
_SYSTEMS = ("Ubuntu15.10", "Ubuntu16.10", "Ubuntu16.04LTS")
_TEAMS = ("SF", "NYC", "LON", "CHI")
_ENVIRONMENTS = ("production", "staging", "test")


def cpu(lines: int, *, hosts: int = 100, seed: int = 1) -> bytes:
    """The cpu rows of the Time Series Benchmark Suite: 10 tags, 10 integers, about 344 bytes a line.

    Every host reports once a time step, in the order of the hosts.
    """
    rng = random.Random(seed)
    series = []
    for host in range(hosts):
        region = rng.choice(tuple(_REGIONS))
        series.append(
            f"cpu,hostname=host_{host},region={region},datacenter={rng.choice(_REGIONS[region])},rack={rng.randrange(100)},"
            f"os={rng.choice(_SYSTEMS)},arch={rng.choice(('x64', 'x86'))},team={rng.choice(_TEAMS)},"
            f"service={rng.randrange(20)},service_version={rng.randrange(2)},"
            f"service_environment={rng.choice(_ENVIRONMENTS)} "
        )
    made = []
    for line in range(lines):
        fields = ",".join(f"{name}={rng.randrange(101)}i" for name in _CPU_FIELDS)
        made.append(f"{series[line % hosts]}{fields} {_START_NS + line // hosts * _STEP_NS}\n")
    return "".join(made).encode()


def home(lines: int, *, rooms: int = 8, seed: int = 1) -> bytes:
    """Home sensors: 2 tags, 2 floats, 1 integer, about 79 bytes a line."""
    rng = random.Random(seed)
    names = [f"Living\\ Room\\ {room}" if room % 4 == 3 else f"Bathroom-{room}" for room in range(rooms)]
    made = []
    for line in range(lines):
        room = line % rooms
        made.append(
            f"home,floor=level{room % 3},room={names[room]} temp={rng.uniform(15, 30):.1f},"
            f"hum={rng.uniform(20, 60):.1f},co={rng.randrange(30)}i {_START_NS + line // rooms * _STEP_NS}\n"
        )
    return "".join(made).encode()


def mixed(lines: int, *, hosts: int = 50, seed: int = 1) -> bytes:
    """What a fleet of agents sends: 14 measurements interleaved, one host's after the other's.

    Strings with and without escapes, booleans, unsigned integers, floats of all lengths, fields that
    are sometimes missing, and tags of high cardinality (containers, request paths).
    """
    rng = random.Random(seed)
    agents = [_agent(f"host-{host:03d}.example.net", rng) for host in range(hosts)]
    made: list[str] = []
    step = 0
    while len(made) < lines:
        time = _START_NS + step * _STEP_NS
        for agent in agents:
            made.extend(f"{line} {time + rng.randrange(1_000_000)}\n" for line in agent())
        step += 1
    return "".join(made[:lines]).encode()


def _agent(host: str, rng: random.Random) -> Callable[[], Iterator[str]]:
    container_ids = [f"{rng.getrandbits(96):024x}" for _ in range(4)]

    def count(bits: int) -> int:
        return rng.randrange(1 << bits)

    def share() -> str:
        return repr(rng.uniform(0, 100))

    def lines() -> Iterator[str]:
        for core in ("cpu-total", "cpu0", "cpu1"):
            usage = f"usage_user={share()},usage_system={share()},usage_idle={share()},usage_iowait={rng.random():.3f}"
            yield f"cpu,cpu={core},host={host} {usage}"
        memory = f"total=16777216000i,available={count(34)}i,used_percent={share()},cached={count(33)}i"
        yield f"mem,host={host} {memory},buffered={count(30)}i"
        for device, path in (("sda1", "/"), ("sdb1", "/var/lib/my\\ data")):
            tags = f"disk,device={device},fstype=ext4,host={host},path={path}"
            yield f"{tags} free={count(38)}i,used={count(38)}i,used_percent={share()},inodes_free={count(24)}i"
        yield f"diskio,host={host},name=sda reads={count(20)}u,writes={count(20)}u,io_time={count(30)}u"
        yield f"net,host={host},interface=eth0 bytes_recv={count(40)}u,bytes_sent={count(40)}u,err_in={count(2)}u"
        load = f"load1={rng.uniform(0, 8):.2f},load5={rng.uniform(0, 8):.2f}"
        yield f"system,host={host} {load},uptime={count(24)}i"
        yield f'processes,host={host} running={count(3)}i,sleeping={count(9)}i,state="ok"'
        for container in container_ids:
            sometimes = f",restarts={count(2)}i" if rng.random() < 0.3 else ""
            healthy = rng.choice(("true", "false"))
            values = f"cpu={share()},mem={count(32)}i,healthy={healthy}{sometimes}"
            yield f"docker,container_id={container},host={host} {values}"
        path = f"/api/v{rng.randrange(1, 4)}/items/{rng.randrange(100_000)}"
        tags = f"http,host={host},method=GET,path={path},status={rng.choice((200, 200, 200, 404, 500))}"
        agent = "Mozilla/5.0 (X11; Linux x86_64)"
        yield f'{tags} duration={rng.expovariate(0.1):.6f},bytes={count(16)}i,agent="{agent}"'
        tags = f"syslog,appname=sshd,host={host},severity={rng.choice(('info', 'warning', 'error'))}"
        message = f'Accepted publickey for \\"deploy\\" from 10.0.{count(8)}.{count(8)} port {count(16)}'
        yield f'{tags} message="{message}",pid={count(16)}i'
        if rng.random() < 0.5:
            values = f"connected={rng.choice('tf')},clients={count(7)}i,hit_rate={rng.random()!r}"
            yield f"redis,host={host},port=6379 {values}"
        yield f"temp,host={host},sensor=coretemp_core\\ 0 temp={rng.uniform(30, 90):.1f}"
        yield f"swap,host={host} used={count(30)}i,in={count(10)}i,out={count(10)}i"
        values = f'offset={rng.gauss(0, 1e-4)!r},jitter={rng.random() * 1e-3:.9f},refid="GPS"'
        yield f"ntpq,host={host},remote=time{count(2)}.example.net {values}"

    return lines


SHAPES: Mapping[str, Callable[[int], bytes]] = {
    "cpu": cpu,
    "cpu-4000-hosts": lambda lines: cpu(lines, hosts=4000),
    "home": home,
    "mixed": mixed,
}
