"""Make unmodified programs use the stack: the first two lines of an app are

    from greendpdk import monkey
    monkey.patch_all()

Called by applications, cli/run.py, pytest_plugin.py; calls gevent.monkey, with our classes put in first.
"""

from greendpdk.monkey._patch import (
    get_original,
    is_module_patched,
    is_object_patched,
    is_patched,
    patch_all,
    patch_os,
    patch_select,
    patch_socket,
    patch_ssl,
)

__all__ = [
    "get_original",
    "is_module_patched",
    "is_object_patched",
    "is_patched",
    "patch_all",
    "patch_os",
    "patch_select",
    "patch_socket",
    "patch_ssl",
]
