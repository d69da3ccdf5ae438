# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""THE TABLE: one row for each uniform call, and nowhere else a list of them.

The generated C, its headers, the Python modules, the questions, the report and the live checks all read
these rows.  What is special about a call is a field of its row, so that a new call is one row.  bodies.py
says how a call looks in C, verdict.py which back end it gets.  sources.py writes the names into the files
of replace/ that must hold them.

Runs on the oldest Python that Meson allows (3.7), with nothing installed.
"""

from typing import List, NamedTuple, Optional, Tuple


class Face(NamedTuple):
    """The Python function of a call that takes or returns more than single ids; module.c has it, written by hand."""

    params: Tuple[Tuple[str, str], ...]  # (name, annotation)
    result: str  # annotation
    given: str  # what help() says about the arguments or the result
    raised: str = ""  # what help() says about exceptions, if not the usual


class Proof(NamedTuple):
    """How `libreplace verify` tries a setter, as Python text with the ids of replace/_cli/observe.py."""

    arguments: Tuple[str, ...]
    line: str  # the line of /proc/PID/status that changes
    after: Tuple[str, ...]  # what it then shows


class Call(NamedTuple):
    name: str  # uniform name; C adds the prefix libreplace_
    params: Tuple[Tuple[str, str], ...]  # (C type, name)
    doc: str  # what it does and what its errors are
    source: str  # where that is written down
    kind: str = "setter"  # setter | getter
    result: str = "0"  # what C returns on success
    shape: str = "plain"  # the function of bodies.py that writes it
    raw: Tuple[str, ...] = ()  # system call and its arguments; empty: libc's function is used everywhere
    essential: bool = False  # no setter goes raw unless the headers have this system call
    needs: Tuple[str, ...] = ()  # libc functions that the raw form calls as well
    libc: str = ""  # libc's function, if not `name`
    header: str = ""  # where libc declares it, if neither in unistd.h nor in grp.h
    instead: Tuple[str, ...] = ()  # libc's function and arguments that mean the same, where libc lacks the call
    emulation: str = ""  # its name in bodies.EMULATIONS, where libc lacks the call
    types_vary: bool = False  # not every libc has these types; one whose setgroups() takes a size_t does
    thread_only: bool = False  # only Linux has it, and there libc's function changes one thread as well
    refuse: Tuple[str, ...] = ()  # parameters where -1 is EINVAL, not "unchanged"
    override: str = "always"  # when replace_override.h maps libc's name: always, if_all (if told so), never
    family: int = 0  # its place in Samba's order of the ways to set an effective id; 0: none
    face: Optional[Face] = None  # of Python, if it takes or returns more than single ids
    proof: Optional[Proof] = None  # setters have one

    @property
    def symbol(self) -> str:
        return "libreplace_" + self.name

    @property
    def function(self) -> str:
        """libc's function."""
        return self.libc or self.name

    @property
    def unit(self) -> str:
        """Which ids it is about: uid or gid."""
        return "uid" if any("uid_t" in ctype for ctype, _ in self.params) else "gid"

    @property
    def prototype(self) -> str:
        args = ", ".join(f"{ctype}{'' if ctype.endswith('*') else ' '}{name}" for ctype, name in self.params)
        return f"int {self.symbol}({args or 'void'})"


def _ids(kind: str, *names: str) -> Tuple[Tuple[str, str], ...]:
    return tuple((kind, name) for name in names)


_EPERM = "EPERM: without CAP_SETUID (CAP_SETGID for groups) an id is none of the present ones."
_EINVAL = "EINVAL: an id is not mapped in this user namespace."


def _family(x: str, t: str) -> List[Call]:
    """The calls that exist alike for uids and gids."""
    word, line, some = ("user", "Uid", "USER") if x == "uid" else ("group", "Gid", "GROUP")
    setre_rank, setres_rank, sete_rank = (1, 2, 3) if x == "uid" else (0, 0, 0)  # Samba asks about users alone
    man = f"set{x}(2), setre{x}(2), setres{x}(2); POSIX.1-2024 set{x}(), sete{x}(), setre{x}(); kernel/sys.c"
    refused = f'EINVAL too where the id is -1: it never means "unchanged" here. {_EINVAL}'
    return [
        Call(
            "set" + x,
            _ids(t, x),
            f"Set the effective {word} id; with privilege the real and the saved one too. {_EPERM} {refused}",
            man,
            raw=("set" + x, x),
            essential=True,
            refuse=(x,),
            override="if_all",  # programs use it to drop root for good
            proof=Proof((some,), line, (some,) * 4),
        ),
        Call(
            "sete" + x,
            _ids(t, "e" + x),
            f"Set the effective {word} id alone. {_EPERM} {refused}",
            man,
            raw=("setres" + x, "-1", "e" + x, "-1"),
            instead=("setres" + x, "-1", "e" + x, "-1"),  # in every state alike, and no other call is
            refuse=("e" + x,),
            family=sete_rank,
            proof=Proof((some,), line, ("0", some, "0", some)),
        ),
        Call(
            "setre" + x,
            _ids(t, "r" + x, "e" + x),
            f"Set the real and the effective {word} id; -1 leaves one unchanged. {_EPERM} {_EINVAL}",
            man,
            raw=("setre" + x, "r" + x, "e" + x),
            essential=True,
            family=setre_rank,
            proof=Proof(("0", some), line, ("0", some, some, some)),
        ),
        Call(
            "setres" + x,
            _ids(t, "r" + x, "e" + x, "s" + x),
            f"Set the real, effective and saved {word} id; -1 leaves one unchanged. {_EPERM} {_EINVAL}",
            man,
            raw=("setres" + x, "r" + x, "e" + x, "s" + x),
            essential=True,
            emulation="setres",
            family=setres_rank,
            proof=Proof(("OTHER", some, "0"), line, ("OTHER", some, "0", some)),
        ),
        Call(
            "getres" + x,
            tuple((t + " *", v + x) for v in "res"),
            f"Read the real, effective and saved {word} id of the calling thread. EFAULT: a bad pointer.",
            f"getres{x}(2); kernel/sys.c",
            kind="getter",
        ),
        Call(
            "setfs" + x,
            _ids(t, "fs" + x),
            f"Set the {word} id that file system access is checked with, and verify it with a second call, "
            "since the kernel reports no error. EPERM: the id is not what was asked for (no privilege, or not "
            "mapped). EINVAL: the id is -1.",
            f"setfs{x}(2); kernel/sys.c",
            shape="set_and_compare",
            raw=("setfs" + x, "fs" + x),
            header="sys/fsuid.h",
            thread_only=True,
            refuse=("fs" + x,),
            override="never",  # it returns something else than libc's
            proof=Proof((some,), line, ("0", "0", "0", some)),
        ),
        Call(
            "getfs" + x,
            ((t + " *", "fs" + x),),
            f"Read the {word} id that file system access is checked with.",
            f"setfs{x}(2), which returns the present id when given -1",
            kind="getter",
            shape="ask_by_setting",
            raw=("setfs" + x, "-1"),
            libc="setfs" + x,
            header="sys/fsuid.h",
            thread_only=True,
        ),
    ]


CALLS: Tuple[Call, ...] = tuple(
    _family("uid", "uid_t")
    + _family("gid", "gid_t")
    + [
        Call(
            "setgroups",
            (("size_t", "size"), ("const gid_t *", "list")),
            "Set the supplementary groups to the size (0 to NGROUPS_MAX) ids in list. EPERM: no CAP_SETGID, or "
            "denied in this user namespace. EINVAL: too many, an id is -1 or not mapped. EFAULT: a bad pointer.",
            "setgroups(2); kernel/groups.c",
            shape="groups",
            raw=("setgroups", "size", "list"),
            essential=True,
            types_vary=True,
            face=Face(
                (("groups", "Sequence[SupportsIndex]"),),
                "None",
                "groups: a sequence of at most 65536 ids, all of it read before the one system call.",
                "Raises OSError; ValueError (too many); OverflowError; TypeError (no sequence, or no integer in it).",
            ),
            proof=Proof(("[OTHER, GROUP, HIGH]",), "Groups", ("GROUP", "OTHER", "HIGH")),
        ),
        Call(
            "initgroups",
            (("const char *", "user"), ("gid_t", "group")),
            "Set the supplementary groups to those that the group database lists for user, and group. The "
            "look-up comes first, the one setgroups after it. ENOMEM: no room for the list; else as "
            "libreplace_setgroups().",
            "initgroups(3), getgrouplist(3)",
            shape="look_up_groups",
            raw=("setgroups", "count", "list"),
            needs=("getgrouplist",),
            types_vary=True,
            refuse=("group",),
            face=Face(
                (("username", "str | bytes | os.PathLike[str]"), ("gid", "SupportsIndex")),
                "None",
                "username: as os.fsencode takes it; gid: one more group, as a rule the user's own.",
                "Raises OSError; ValueError (a null byte); OverflowError; TypeError.",
            ),
            proof=Proof(('"libreplace-nobody"', "GROUP"), "Groups", ("GROUP",)),
        ),
        Call(
            "getgroups",
            (("int", "size"), ("gid_t *", "list")),
            "Read the supplementary groups; returns how many there are. With size 0 it only counts. EINVAL: size "
            "is smaller than that count.",
            "getgroups(2); POSIX.1-2024 getgroups()",
            kind="getter",
            result="the number of groups",
            face=Face((), "list[int]", "Returns a list, in the kernel's order."),
        ),
    ]
)


def _each(names: List[str]) -> Tuple[str, ...]:
    """Without repetitions, in order."""
    return tuple(dict.fromkeys(names))


#: Every system call that a raw form makes.
SYSTEM_CALLS = _each([call.raw[0] for call in CALLS if call.raw])
#: Those of USE_LINUX_32BIT_SYSCALLS: all or none (Samba's seven).
WIDE = _each([call.raw[0] for call in CALLS if call.essential])
#: Samba's order of the ways to set an effective id; setuidx() is AIX's, and no call of ours.
FAMILIES = (*(call.name for call in sorted(CALLS, key=lambda call: call.family) if call.family), "setuidx")
