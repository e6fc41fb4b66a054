"""What to say when a library that greendpdk needs cannot be imported: one sentence with a command.

Called by __init__.py, monkey/_patch.py and cli/; calls nothing, as anything may be missing.
"""

from __future__ import annotations

_NEEDS = {
    "gevent": "python -m pip install 'gevent>=24.10'",
    "greenlet": "python -m pip install greenlet",
    "cffi": "python -m pip install cffi",
    "_cffi_backend": "python -m pip install cffi",
    "rich": "python -m pip install rich",
    "prometheus_client": "python -m pip install 'greendpdk[prometheus]'",
    "greendpdk._native": "apt install libdpdk-dev pkg-config gcc && python -m pip install --force-reinstall greendpdk "
    "(in a source tree: python -m greendpdk._build)",
}


def sentence(error: ImportError) -> str | None:
    """Return what is missing and how to get it; None if the import failed for another reason."""
    name, text = error.name or "", str(error)
    if "librte_" in text or "libdpdk" in text:  # the dynamic linker's words: "librte_eal.so.23: cannot open ..."
        return (
            f"greendpdk needs DPDK's libraries ({text.partition(': No such')[0]}): apt install librte-meta-allpmds, "
            "or, if this host's DPDK has another number, libdpdk-dev, pkg-config and gcc, and python -m pip install "
            "--force-reinstall --no-binary greendpdk greendpdk"
        )
    for need, command in _NEEDS.items():
        if name == need or name.startswith(f"{need}.") or (need == "greendpdk._native" and "_native" in text):
            return f"greendpdk needs {need}, which is not there: {command}"
    return None


def explained(error: ImportError) -> ImportError:
    """Return the error with that sentence, or itself."""
    text = sentence(error)
    return error if text is None else ImportError(text, name=error.name, path=error.path)
