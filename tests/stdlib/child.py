"""Run one test module in this process, on the sockets that are asked for, and write down what becomes of each test.

Called by run.py: child.py HOW MODULE RESULTS SELECTION; calls unittest. Each line of RESULTS is a JSON list:

    ["start", test]  ["ok"|"fail"|"skip", test, text]  ["module", "skip"|"fail", text]
    ["kernel", test]  ["wildcard", test]

A kernel line: while the test ran, a TCP or UDP socket of the kernel was opened, of AF_INET or AF_INET6. A wildcard
line: one of them was bound to the wildcard, as the kernel's half of what listens on both.
"""
from __future__ import annotations

import json
import os
import sys

HOW, MODULE, RESULTS, SELECTION = sys.argv[1:] if len(sys.argv) == 5 else [""] * 4  # "": multiprocessing's child

results = os.open(RESULTS or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
now = {"test": ""}


def note(*words: object) -> None:
    """Write a line; one system call, so forked children may write too."""
    os.write(results, json.dumps(words).encode() + b"\n")


def patch() -> None:
    """Put the sockets in place; gevent's own tests patch by themselves, or mean not to."""
    gevents = MODULE.startswith("test__")
    if HOW == "greendpdk" and gevents:
        from greendpdk.monkey import _patch, _tables

        _patch.install_classes(set(_tables.OURS))
        _patch.start_stack()
    elif HOW == "greendpdk":
        from greendpdk import monkey

        monkey.patch_all()
    elif HOW == "gevent" and not gevents:
        import gevent.monkey

        gevent.monkey.patch_all()


def watch() -> None:
    """Note each kernel socket that speaks TCP or UDP; sockets of the stack are no _socket.socket."""
    import _socket

    families, kinds = (_socket.AF_INET, _socket.AF_INET6), (_socket.SOCK_STREAM, _socket.SOCK_DGRAM)
    protocols = (-1, 0, _socket.IPPROTO_TCP, _socket.IPPROTO_UDP)  # not UDP-Lite, SCTP, MPTCP, which are the kernel's

    def hook(event: str, args: tuple) -> None:
        if event == "socket.__new__" and isinstance(args[0], _socket.socket):
            _, family, kind, protocol = args
            if family in families and (kind < 0 or kind & 0xF in kinds) and protocol in protocols:
                note("kernel", now["test"])
        elif (event == "socket.bind" and args[0].family in families
              and args[1][0] in ("", "0.0.0.0", "::")):
            note("wildcard", now["test"])

    sys.addaudithook(hook)


def main() -> None:
    """Run the module's tests."""
    sys.path.pop(0)
    del sys.argv[1:]  # some modules read it
    patch()
    watch()
    import importlib.util
    import unittest
    import warnings

    import modules
    from test import support

    warnings.simplefilter("default")
    support.use_resources = list(modules.RESOURCES.get(MODULE, []))
    support.verbose = 0
    name = modules.full(MODULE)

    def short(test: unittest.TestCase) -> str:
        whole = test.id()
        return whole.removeprefix(name + ".")

    def flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
        return [test for one in suite for test in (flat(one) if isinstance(one, unittest.TestSuite) else [one])]

    class Result(unittest.TestResult):
        """Notes what unittest reports; a sub-test that fails is its test's failure."""

        def startTest(self, test: unittest.TestCase) -> None:
            super().startTest(test)
            now["test"], now["bad"] = short(test), False
            note("start", short(test))

        def stopTest(self, test: unittest.TestCase) -> None:
            super().stopTest(test)
            now["test"] = ""

        def bad(self, test: unittest.TestCase, error: object) -> None:
            now["bad"] = True
            note("fail", short(test), self._exc_info_to_string(error, test))

        def addError(self, test, error) -> None:
            self.bad(test, error)

        def addFailure(self, test, error) -> None:
            self.bad(test, error)

        def addSubTest(self, test, subtest, error) -> None:
            if error is not None:
                self.bad(test, error)

        def addSkip(self, test, reason) -> None:
            note("skip", short(test), reason)

        def addSuccess(self, test) -> None:
            note("ok", short(test), "")

        def addExpectedFailure(self, test, error) -> None:
            note("ok", short(test), "")

        def addUnexpectedSuccess(self, test) -> None:
            note("fail", short(test), "unexpected success")

    if importlib.util.find_spec(name) is None:  # Debian and pyenv leave some out
        note("module", "skip", "this Python comes without it")
        return
    try:
        loaded = flat(unittest.defaultTestLoader.loadTestsFromName(name))
    except unittest.SkipTest as reason:
        note("module", "skip", str(reason))
        return
    with open(SELECTION) as file:
        selection = json.load(file)
    chosen = [test for test in loaded if modules.wanted(MODULE, short(test)) and short(test) not in selection["done"]
              and (selection["only"] is None or selection["only"] in short(test))]
    note("tests", [short(test) for test in chosen])
    suite = unittest.TestSuite(chosen)
    del loaded, chosen  # the suite lets go of each test that has run, and with it of its sockets
    suite.run(Result())
    note("end")


if __name__ == "__main__":
    here = sys.path[0]
    import faulthandler

    faulthandler.enable()
    import importlib.util

    spec = importlib.util.spec_from_file_location("modules", os.path.join(here, "modules.py"))
    sys.modules["modules"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main()
