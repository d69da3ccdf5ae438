# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace` (also `python -m replace`)."""

from __future__ import annotations

import argparse
import json
import os
import sys

from . import _config, _report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="libreplace", description="Per-thread process credentials: what was built here, and does it hold?"
    )
    version = _report.report()["version"]
    parser.add_argument("--version", action="version", version=f"libreplace {version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    report = commands.add_parser(
        "report",
        help="what the build found, what it decided, and why",
        epilog="exit status: 0; 2 where FILE is no report that this version reads",
    )
    face = report.add_mutually_exclusive_group()
    face.add_argument("--json", action="store_true", help="the whole document, for programs")
    face.add_argument(
        "--answers",
        action="store_true",
        help="a file for -Dcross_answers, in Samba's format: a build that it is given to comes to the same verdict",
    )
    face.add_argument("--markdown", action="store_true", help="for a bug report: GitHub Markdown")
    face.add_argument("--html", action="store_true", help="one page to look at, that needs nothing else")
    report.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="another build's report (BUILD/replace/build_report.json) in place of this package's own",
    )

    verify = commands.add_parser(
        "verify",
        help="prove on this machine, with real ids in child processes, what the build decided",
        epilog="exit status: 0 all proved; 1 something contradicts; 2 something could not run (needs root, say)",
    )
    form = verify.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--tap", action="store_true", help="Test Anything Protocol, version 14")
    form.add_argument(
        "--explain",
        action="store_true",
        help="say first what this kernel, container and environment allow, and what to change",
    )

    threads = commands.add_parser(
        "threads",
        help="who every thread of a process is, from the kernel; those unlike the main thread are marked",
        description="The threads of a process and their credentials, as the kernel has them. Marked with * are those "
        "whose ids, groups or capabilities are not the main thread's: they hold an identity, or were started by one "
        "that did. Kernel workers of io_uring (iou-sqp-*, iou-wrk-*) keep the ids of the thread that set them up. "
        "Capabilities are hexadecimal, as in /proc (`capsh --decode=` names them).",
        epilog="exit status: 0 every thread is as the main thread; 1 some differ; 2 they cannot be read "
        "(no such process, no permission, no /proc)",
    )
    threads.add_argument(
        "pid", metavar="PID", type=int, help="the process, by its number or that of one of its threads"
    )
    threads.add_argument("--json", action="store_true", help="one JSON document: pid, and threads with all groups")

    config = commands.add_parser(
        "config",
        help="where the C library's header files, static library and .pc file are, for other packages' C code",
        description="Prints a line for each option, but --cflags and --libs on one line, as pkg-config does; "
        "quoted for a shell where need be.",
        epilog="exit status: 0; 1 the files are not in this package; 2 no option was given",
    )
    for name, meaning in _config.OPTIONS.items():
        config.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, help=meaning)
    return parser


def _face(arguments: argparse.Namespace) -> str:
    """The face of the report that was asked for."""
    document = _report.load(arguments.file) if arguments.file else _report.report()
    if arguments.json:
        return json.dumps(document, indent=1)
    if arguments.answers:
        return _report.as_answers(document)
    if arguments.markdown:
        from . import _report_markdown

        return _report_markdown.as_markdown(document)
    if arguments.html:
        from . import _report_html

        return _report_html.as_html(document)
    return _report.as_text(document)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    status = 0
    try:
        if arguments.command == "verify":
            from . import _verify

            form = next((name for name in ("json", "tap", "explain") if getattr(arguments, name)), "text")
            return _verify.run(form)
        if arguments.command == "threads":
            from . import _thread_table

            status, text = _thread_table.show(arguments.pid, arguments.json)
            print(text, file=sys.stderr if status == 2 else sys.stdout)
        elif arguments.command == "config":
            if not arguments.wanted:
                parser.error("config: one of --" + ", --".join(_config.OPTIONS) + " is needed")
            status, text = _config.show(arguments.wanted)
            print(text, file=sys.stderr if status else sys.stdout)
        else:
            print(_face(arguments))
        sys.stdout.flush()
    except _report.NotAReport as error:
        print(error, file=sys.stderr)
        status = 2
    except BrokenPipeError:  # `libreplace report | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(main())
