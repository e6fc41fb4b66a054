"""python -m greendpdk: the command line. Called by the interpreter; calls cli/."""

from greendpdk.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
