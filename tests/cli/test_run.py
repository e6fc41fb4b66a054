"""greendpdk run: a program ends as it would under `python`, by itself, by Ctrl-C and by signals; --netns.

The first half runs without a port and compares with the interpreter; the second is over net_tap, in a namespace.
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import ordinary
import pytest
from netns import Namespace
from peer import ROOT

from greendpdk import _namespace
from greendpdk.cli import run

STACK, KERNEL = "198.18.0.2", "198.18.0.1"
PATIENCE = 20.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")} | {
    "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts a program under the words given; its end is told by `ended`."""
    started: list[subprocess.Popen[str]] = []
    resources = contextlib.ExitStack()
    place = resources.enter_context(ordinary.folder())

    def start(code: str, *words: str, net: Namespace | None = None, **options: object) -> subprocess.Popen[str]:
        app = place / "app.py"
        app.write_text(code)
        command = [*(words or (sys.executable, "-m", "greendpdk", "run", "--vdev", "none")), str(app)]
        popen = net.popen if net else subprocess.Popen
        started.append(popen(command, **{"env": ENVIRONMENT, "cwd": ROOT, "text": True, "stdout": subprocess.PIPE,
                                         "stderr": subprocess.PIPE} | options))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        with program:
            pass
    resources.close()


def ended(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = program.communicate(timeout=PATIENCE)
    return program.returncode, out, err


def line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.parametrize("code", [
    "", "import sys; sys.exit(3)", "raise SystemExit('a text')", "raise SystemExit(None)", "raise SystemExit(256 + 7)",
    "raise SystemExit(2**70)", "raise SystemExit(-1)", "raise SystemExit((1, 2))", "import os; os._exit(9)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "import os; os.abort()",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "import signal; signal.raise_signal(signal.SIGHUP)",
    "import os, signal; signal.signal(signal.SIGTERM, lambda *_: exit(5)); os.kill(os.getpid(), signal.SIGTERM)",
    "def fail():\n    raise KeyError('mine')\nfail()", "class Mine(BaseException): pass\nraise Mine('base')",
    "import sys; sys.excepthook = lambda kind, *_: print('hook', kind); raise KeyboardInterrupt",
    "def broken(:", "import atexit; atexit.register(print, 'last'); print('first')",
    "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.05), print('it'))).start(); print('main')",
    "import threading; threading.Thread(target=lambda: 1 / 0).start()",
    "import sys; print('no end', end=''); sys.stderr.write('error')",
])
def test_a_program_ends_as_under_the_interpreter(start: Start, code: str) -> None:
    wanted = ended(start(code, sys.executable))
    status, out, err = ended(start(code))
    assert (status, out) == wanted[:2]
    if "threading" not in code or not err:  # gevent writes a greenlet's traceback in another form
        assert err == wanted[2]


@pytest.mark.parametrize(("safe", "found"), [((), True), (("-P",), False)])
def test_modules_are_looked_for_in_the_working_folder(
    start: Start, tmp_path: Path, safe: tuple[str, ...], found: bool
) -> None:
    (tmp_path / "mine.py").write_text("import sys; print(__name__, *sys.argv[1:])")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/greendpdk"  # what pip makes of the entry point
    script.write_text("from greendpdk.cli import main; raise SystemExit(main())")
    words = [*safe, str(script), "--vdev", "none", "-m", "mine"]
    status, out, err = ended(start("", sys.executable, *words, cwd=tmp_path))
    assert (status, out.split()[:1]) == ((0, ["__main__"]) if found else (2, [])), err


@pytest.mark.slow
@pytest.mark.parametrize("code", ["print('x' * 100_000)", "import time\ntime.sleep(.2)\nprint('short')",
                                  "import sys\nsys.stdout.write('held back')"])
def test_a_closed_pipe_is_the_programs_error(start: Start, code: str) -> None:
    found = []
    for words in ((sys.executable,), ()):
        reader, writer = os.pipe()
        program = start(code, *words, stdout=writer, env=ENVIRONMENT | {"PYTHONUNBUFFERED": ""})
        os.close(writer)
        os.close(reader)
        status, _, err = ended(program)
        found.append((status, err.splitlines()[-1:]))
    assert found[0] == found[1] and "BrokenPipeError" in found[0][1][0]


BLOCKED = {
    "sleep": "import time; print('up'); time.sleep(60)",
    "accept": "import socket; s = socket.create_server(('127.0.0.1', 0)); print('up'); s.accept()",
    "computing": "print('up')\nwhile True: pass",
    "thread": "import threading, time; t = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start(); "
              "print('up'); t.join()",
    "greenlet": "import gevent\ndef spin():\n    while True: gevent.sleep(0)\ngevent.spawn(spin).join(0.1)\n"
                "print('up'); gevent.spawn(spin).join()",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BLOCKED)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_without_a_word(start: Start, what: str, number: signal.Signals) -> None:
    program = start(BLOCKED[what], sys.executable, "-m", "greendpdk", "--vdev", "none", "--loopback", "stack")
    assert line(program) == "up"
    program.send_signal(number)
    assert ended(program) == (-number, "", "")


@pytest.mark.slow
def test_ctrl_c_is_clean_at_any_moment_of_the_start(start: Start) -> None:
    """Sent after 40 ms, 60 ms, ...: Python's own start is over by then, and its end is `up`."""
    seen = set()
    for moment in range(4, 40, 2):
        program = start(BLOCKED["sleep"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(moment / 100)
        program.send_signal(signal.SIGINT)
        status, out, err = ended(program)
        if "Traceback" in err and "greendpdk/cli/" not in err:
            continue  # the interpreter's own start
        assert (status, err) == (-signal.SIGINT, ""), f"after {moment / 100} s"
        seen.add(out)
    assert "" in seen


def test_a_program_catches_ctrl_c_itself(start: Start) -> None:
    program = start("import time\ntry:\n    print('up'); time.sleep(60)\n"
                    "except KeyboardInterrupt:\n    print('caught')")
    assert line(program) == "up"
    program.send_signal(signal.SIGINT)
    assert ended(program) == (0, "caught\n", "")


def test_an_ignored_signal_stays_ignored(start: Start) -> None:
    program = start("import signal, sys; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)",
                    "nohup", sys.executable, "-m", "greendpdk", "--vdev", "none", stdin=subprocess.DEVNULL)
    assert ended(program)[:2] == (0, "True\n")


def test_a_forked_child_dies_of_sigterm_too(start: Start) -> None:
    program = start("import multiprocessing as m, time\n"
                    "p = m.get_context('fork').Process(target=time.sleep, args=(60,))\n"
                    "p.start(); p.terminate(); p.join(); print(p.exitcode)")
    assert ended(program) == (0, "-15\n", "")


def test_words_after_two_dashes_are_the_programs(start: Start) -> None:
    program = start("import sys; print(len(sys.argv))", sys.executable, "-m", "greendpdk", "run", "--vdev=none", "--")
    assert ended(program) == (0, "1\n", "")


TOLD = """import sys, pickle, __main__
class Mine: pass
print(sys.argv, repr(sys.path[0]), __name__, type(pickle.loads(pickle.dumps(Mine()))) is Mine)
print(sorted((name, repr(value)) for name, value in vars(__main__).items() if name[:2] == "__"))
"""
TEXTS = ["def fail():\n    raise KeyError('mine')\nfail()", "def broken(:", "raise SystemExit('a text')", "",
         "from __future__ import annotations\nx: y = 1\nprint(__annotations__)", "print('caf\xe9')",
         "import atexit\nclass Last:\n    def __call__(self): print(Last, TEXT)\nTEXT = 5\natexit.register(Last())"]


@pytest.mark.parametrize("text", [TOLD, *(pytest.param(text, marks=pytest.mark.slow) for text in TEXTS)])
@pytest.mark.parametrize("way", ["-c", "-"])
def test_code_and_standard_input_run_as_under_the_interpreter(way: str, text: str) -> None:
    words = ["-c", text, "one", "-x", "--poll"] if way == "-c" else ["-", "one", "-x", "--poll"]

    def run(*first: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, *first, *words], input=text if way == "-" else "", env=ENVIRONMENT,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.returncode, done.stdout, done.stderr

    with ThreadPoolExecutor(2) as pool:
        wanted, found = pool.map(lambda first: run(*first), [(), ("-m", "greendpdk", "--vdev=none")])
    assert found == wanted


@pytest.mark.parametrize(("words", "text"), [
    (["-c"], "-c needs the code"), (["-m"], "-m needs the name of a module"), ([], "-c code, or - for standard input")])
def test_it_tells_what_is_missing(words: list[str], text: str) -> None:
    done = subprocess.run([sys.executable, "-m", "greendpdk", "run", "--vdev=none", *words], env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2 and text in done.stderr


@pytest.mark.parametrize(("words", "argv"), [
    (["-cimport sys; print(sys.argv)", "a", "b"], ["-c", "a", "b"]), (["-mprinting", "a"], ["a"])])
def test_code_and_module_may_be_written_to_their_letter(tmp_path: Path, words: list[str], argv: list[str]) -> None:
    (tmp_path / "printing.py").write_text("import sys; print(sys.argv[1:])")
    done = subprocess.run([sys.executable, "-m", "greendpdk", "--vdev=none", *words], env=ENVIRONMENT, cwd=tmp_path,
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stdout, done.stderr) == (f"{argv}\n", "")


SERVE = f"""
import socket
listener = socket.create_server(("{STACK}", 8000))
print("up")
while True:
    conn, _ = listener.accept()
    conn.sendall(b"hello")
"""


@pytest.fixture
def net() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def connect(net: Namespace) -> socket.socket:
    with net.entered():
        client = socket.create_connection((STACK, 8000), PATIENCE)
    client.settimeout(PATIENCE)
    assert client.recv(5, socket.MSG_WAITALL) == b"hello"
    return client


@pytest.mark.slow
@pytest.mark.needs("tap")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_peers_hear_a_fin_from_a_program_that_a_signal_ends(
        net: Namespace, start: Start, number: signal.Signals) -> None:
    program = start(SERVE, sys.executable, "-m", "greendpdk", "run", net=net)
    assert line(program) == "up"
    with connect(net) as client:
        program.send_signal(number)
        assert client.recv(1) == b""
        assert ended(program) == (-number, "", "")


FLUSH = f"""
import socket, sys
sock = socket.create_connection(("{KERNEL}", int(sys.stdin.readline())))
sock.setblocking(False)
try:
    while True:
        sock.send(bytes(100_000))
except BlockingIOError:
    print("full")
sock.setblocking(True)
sock.sendall(bytes(100_000))
"""


def listener_of_few_bytes(net: Namespace) -> socket.socket:
    with net.entered():
        listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    return listener


@pytest.mark.slow
@pytest.mark.needs("tap")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_second_signal_ends_the_wait_for_a_peer_that_does_not_read(
        net: Namespace, start: Start, number: signal.Signals) -> None:
    listener = listener_of_few_bytes(net)
    program = start(FLUSH, sys.executable, "-m", "greendpdk", "run", net=net, stdin=subprocess.PIPE)
    assert program.stdin is not None
    program.stdin.write(f"{listener.getsockname()[1]}\n")
    program.stdin.flush()
    with listener, listener.accept()[0]:
        assert line(program) == "full"
        program.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(0.5)  # data is on its way
        program.send_signal(number)
        begun = time.monotonic()
        assert ended(program) == (-number, "", "")
        assert time.monotonic() - begun < 3  # of the five or ten seconds that it would wait


@pytest.mark.slow
@pytest.mark.needs("tap")
def test_ctrl_c_ends_the_wait_for_a_dhcp_server(net: Namespace, start: Start) -> None:
    program = start("print('never')", sys.executable, "-m", "greendpdk", "run", "--address", "dhcp", net=net)
    give_up = time.monotonic() + PATIENCE
    while "dtap0" not in net.ip("link") and time.monotonic() < give_up:
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.3)
    program.send_signal(signal.SIGINT)
    assert ended(program) == (-signal.SIGINT, "", "")


@pytest.mark.slow
@pytest.mark.needs("tap")
@pytest.mark.parametrize("user", ["root", pytest.param("nobody", marks=pytest.mark.needs("user-namespaces"))])
def test_netns_tells_the_way_to_its_other_side(start: Start, user: str) -> None:
    python = sys.executable if user == "root" else ordinary.python()
    words = () if user == "root" else ordinary.USER
    program = start(SERVE, *words, str(python), "-m", "greendpdk", "run", "--netns",
                    env=ENVIRONMENT | {"PYTHONPATH": ordinary.path(), "HOME": "/"})
    assert line(program) == "up"
    assert program.stderr is not None
    assert program.stderr.readline() == f"greendpdk: net_tap0 is {STACK}, the kernel is {KERNEL}\n"
    way = re.fullmatch(r"greendpdk: from the kernel's side: (.*) COMMAND\n", program.stderr.readline())
    assert way is not None
    ask = f"import socket; print(socket.create_connection(('{STACK}', 8000), 9).recv(9))"
    done = subprocess.run([*words, *way[1].split(), "python3", "-c", ask], capture_output=True, text=True, check=False,
                          timeout=PATIENCE)
    assert done.stdout == "b'hello'\n", done.stderr
    program.send_signal(signal.SIGINT)
    assert ended(program) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(("words", "tap", "rest"), [
    (["--tap", "app.py", "--tap"], "", ["app.py", "--tap"]), (["--tap=my.1", "app.py"], "my.1", ["app.py"]),
    (["-q", "--tap", "--netns", "--mtu", "900", "app.py"], "", ["app.py"]),
    (["--netns", "--", "app.py", "--tap", "x"], None, ["app.py", "--tap", "x"]),
    (["--tap", "-m", "web", "--tap"], "", ["web", "--tap"]),
])
def test_tap_takes_a_name_by_an_equals_sign_only(words: list[str], tap: str | None, rest: list[str]) -> None:
    options = run._parser().parse_args(run._tap_alone(words))
    assert options.tap == tap
    assert (options.module or [word for word in (options.program, *options.args) if word != "--"]) == rest


@pytest.mark.parametrize(("words", "says"), [
    ((), "give a program to run: app.py, -m module, -c code, or - for standard input; or a command: run"),
    (("--vdev", "net_no", "runn"), "/runn': No such file or directory (and runn is none of the commands: run, demo, "),
    (("./runn",), "/runn': No such file or directory"),
    (("--vdev", "none", "--metrics", ":0", "-m", "this"), "greendpdk needs prometheus_client, which is not there: "
     "python -m pip install 'greendpdk[prometheus]'"),
])
def test_what_cannot_be_run_is_told_in_a_sentence(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError")  # as if it were not installed
    path = f"{ROOT}:{tmp_path}"
    done = subprocess.run([sys.executable, "-m", "greendpdk", *words], cwd=tmp_path, text=True, capture_output=True,
                          env=ENVIRONMENT | {"GREENDPDK_VDEV": "none", "PYTHONPATH": path}, timeout=60, check=False)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_the_limit_of_namespaces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(unshare=lambda flags: -1))
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.ENOSPC)  # unshare(2)
    with pytest.raises(OSError, match=r"to be had \(the limit user\.max_user_namespaces is reached\): run as root, or"):
        _namespace.enter_namespace()


@pytest.mark.slow
@pytest.mark.needs("tap")
@pytest.mark.parametrize(("words", "tells"), [
    (("--tap=app0", "--netns", "-q"), ["app0"]), (("--tap", "--netns", "--quiet"), ["dtap0"]),
    (("--vdev", "net_tap0,iface=mine", "--address", "10.9.0.2/24", "--netns", "--quiet"), ["mine"]),
])
def test_options_name_the_device(start: Start, words: tuple[str, ...], tells: list[str]) -> None:
    program = start("import socket; print(*(name for _, name in socket.if_nameindex() if name != 'lo'))\n"
                    "print(*(p.name for p in __import__('greendpdk').running().ports))",
                    sys.executable, "-m", "greendpdk", "run", *words, "--")
    status, out, err = ended(program)
    assert (status, err) == (0, "") and tells[0] in out and "net_tap0" in out
