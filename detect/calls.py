# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The table of the uniform calls: one row for each call. No other file lists them.

The generated C, its headers, the Python modules, the questions, the report and the live checks all read these rows.
The special properties of a call are fields of its row, so a new call is one new row. bodies.py writes a call in C.
verdict.py chooses its back end. sources.py writes the names and docstrings into the files of replace/ that need them.

Runs on the oldest Python that Meson allows (3.7), with nothing installed.
"""

from typing import List, NamedTuple, Optional, Tuple

#: The letters of a parameter's name before uid or gid -> the kind of id.
_KINDS = {"r": "real ", "e": "effective ", "s": "saved ", "fs": "file system "}


class Error(NamedTuple):
    """An errno that a call reports, and the reason, as the end of a sentence."""

    errno: str
    when: str = ""  # in C and in Python
    in_c: str = ""  # in C only; Python raises OverflowError, ValueError or TypeError before the call


class Face(NamedTuple):
    """The Python function of a call that takes or returns more than single ids. module.c has its C code."""

    params: Tuple[Tuple[str, str, str], ...]  # (name, annotation, meaning)
    result: str  # annotation
    returns: str = ""  # the result in words, for help()
    raises: Tuple[Tuple[str, str], ...] = ()  # (exception, reason), in addition to OSError


class Proof(NamedTuple):
    """How `libreplace verify` tries a setter, as Python text with the ids of replace/_cli/observe.py.

    verify_table.py writes the same in C.
    """

    arguments: Tuple[str, ...]
    line: str  # the line of /proc/PID/status that changes
    after: Tuple[str, ...]  # the ids in this line after the call


class Call(NamedTuple):
    name: str  # uniform name; C adds the prefix libreplace_
    params: Tuple[Tuple[str, str], ...]  # (C type, name)
    does: str  # the description; its first sentence is the summary
    errors: Tuple[Error, ...]  # in addition to ENOSYS
    source: str  # the manual pages, standards and kernel files that describe it
    in_c: str = ""  # a further sentence, about the C function's parameters
    kind: str = "setter"  # setter | getter
    result: str = "0"  # what C returns on success
    shape: str = "plain"  # the function of bodies.py that writes it
    raw: Tuple[str, ...] = ()  # system call and its arguments; if empty, libc's function is used everywhere
    essential: bool = False  # no setter uses raw system calls unless the headers have this one
    needs: Tuple[str, ...] = ()  # libc functions that the raw form calls as well
    libc: str = ""  # libc's function, if not `name`
    header: str = ""  # where libc declares it, if neither in unistd.h nor in grp.h
    instead: Tuple[str, ...] = ()  # libc's function and arguments that mean the same, where libc lacks the call
    emulation: str = ""  # its name in bodies.EMULATIONS, where libc lacks the call
    types_vary: bool = False  # libcs declare it with different types, for example the size of setgroups()
    thread_only: bool = False  # only Linux has it, and its libc function also changes one thread
    may_throw: bool = False  # glibc declares it without noexcept, because it is a cancellation point
    refuse: Tuple[str, ...] = ()  # parameters where -1 is EINVAL, not "unchanged"
    override: str = "always"  # when replace_override.h maps libc's name: always, if_all (on request), never
    drops: bool = False  # libreplace_drop_privileges() needs libc's form, which changes every thread
    family: int = 0  # its place in Samba's order of the ways to set an effective id; 0 if it is none
    face: Optional[Face] = None  # its Python function, if that takes or returns more than single ids
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
        """The kind of its ids: uid or gid."""
        return "uid" if any("uid_t" in ctype for ctype, _ in self.params) else "gid"

    def id_name(self, parameter: str = "") -> str:
        """The id that a parameter means, such as "effective user ID"; without a parameter, "user ID" or "group ID"."""
        return _KINDS.get(parameter[: -len(self.unit)], "") + ("user ID" if self.unit == "uid" else "group ID")

    @property
    def prototype(self) -> str:
        args = ", ".join(f"{ctype}{'' if ctype.endswith('*') else ' '}{name}" for ctype, name in self.params)
        return f"int {self.symbol}({args or 'void'})"

    @property
    def number_names(self) -> str:
        """The names of its system call number, for a text that is the same on every architecture."""
        return f"SYS_{self.raw[0]} or SYS_{self.raw[0]}32"

    @property
    def doc(self) -> str:
        """The description and the errors, in C."""
        reasons = [(e.errno, ", or ".join(filter(None, (e.when, e.in_c)))) for e in (*self.errors, _ENOSYS)]
        sentences = (self.does, self.in_c, *(f"{errno}: {reason}." for errno, reason in reasons))
        return " ".join(filter(None, sentences))

    @property
    def python_errors(self) -> str:
        """The reasons for its OSError, in Python."""
        reasons = [f"``{e.errno}`` if {e.when}" for e in (*self.errors, _ENOSYS) if e.when]
        return "; ".join(reasons) + "."


def _ids(kind: str, *names: str) -> Tuple[Tuple[str, str], ...]:
    return tuple((kind, name) for name in names)


_ENOSYS = Error("ENOSYS", "this system has no such call")
_UNMAPPED = "an id is not mapped in this user namespace"
_BAD_POINTER = Error("EFAULT", in_c="a pointer is invalid")
_MINUS_ONE = 'an id is -1 (here it never means "unchanged"), or is not mapped in this user namespace'


def _family(x: str, t: str) -> List[Call]:
    """The calls that exist for both uids and gids."""
    word, line, some = ("user", "Uid", "USER") if x == "uid" else ("group", "Gid", "GROUP")
    setre_rank, setres_rank, sete_rank = (1, 2, 3) if x == "uid" else (0, 0, 0)  # Samba asks about users only
    man = f"set{x}(2), setre{x}(2), setres{x}(2); POSIX.1-2024 set{x}(), sete{x}(), setre{x}(); kernel/sys.c"
    capability = f"CAP_SET{x.upper()}"
    denied = Error("EPERM", f"an id is not one of the thread's ids, and the thread lacks {capability}")
    unmapped, invalid = Error("EINVAL", _UNMAPPED), Error("EINVAL", _MINUS_ONE)
    return [
        Call(
            "set" + x,
            _ids(t, x),
            f"Set the effective {word} ID; with {capability}, also the real and saved {word} ID.",
            (denied, invalid),
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
            f"Set the effective {word} ID only.",
            (denied, invalid),
            man,
            raw=("setres" + x, "-1", "e" + x, "-1"),
            instead=("setres" + x, "-1", "e" + x, "-1"),  # the only call that does the same in every state
            refuse=("e" + x,),
            family=sete_rank,
            proof=Proof((some,), line, ("0", some, "0", some)),
        ),
        Call(
            "setre" + x,
            _ids(t, "r" + x, "e" + x),
            f"Set the real and effective {word} ID. -1 leaves an id unchanged.",
            (denied, unmapped),
            man,
            raw=("setre" + x, "r" + x, "e" + x),
            essential=True,
            family=setre_rank,
            proof=Proof(("0", some), line, ("0", some, some, some)),
        ),
        Call(
            "setres" + x,
            _ids(t, "r" + x, "e" + x, "s" + x),
            f"Set the real, effective and saved {word} ID. -1 leaves an id unchanged.",
            (denied, unmapped),
            man,
            raw=("setres" + x, "r" + x, "e" + x, "s" + x),
            essential=True,
            emulation="setres",
            drops=True,
            family=setres_rank,
            proof=Proof(("OTHER", some, "0"), line, ("OTHER", some, "0", some)),
        ),
        Call(
            "getres" + x,
            tuple((t + " *", v + x) for v in "res"),
            f"Read the real, effective and saved {word} ID of the calling thread.",
            (_BAD_POINTER,),
            f"getres{x}(2); kernel/sys.c",
            kind="getter",
        ),
        Call(
            "setfs" + x,
            _ids(t, "fs" + x),
            f"Set the file system {word} ID, which the kernel uses to check file access. The kernel reports no error, "
            "so a second call verifies the result.",
            (
                Error(
                    "EPERM",
                    "the kernel kept another id (the thread has no privilege, the id is not mapped, or a filter "
                    "refuses the call)",
                ),
                Error("EINVAL", "the id is -1"),
            ),
            f"setfs{x}(2); kernel/sys.c",
            shape="set_and_compare",
            raw=("setfs" + x, "fs" + x),
            header="sys/fsuid.h",
            thread_only=True,
            refuse=("fs" + x,),
            override="never",  # its result differs from that of libc's function
            proof=Proof((some,), line, ("0", "0", "0", some)),
        ),
        Call(
            "getfs" + x,
            ((t + " *", "fs" + x),),
            f"Read the file system {word} ID, which the kernel uses to check file access. If setfs{x}(2) gives no "
            "clear answer, for example because a seccomp filter refuses it, the owner of a new pipe gives the answer.",
            (
                Error("EPERM", f"a filter refuses both setfs{x}(2) and pipe2(2)"),
                Error("EMFILE", "the process has too many open files for the pipe"),
            ),
            f"setfs{x}(2), which returns the present id if its argument is -1; fs/pipe.c",
            kind="getter",
            shape="ask_by_setting",
            raw=("setfs" + x, "-1"),
            libc="setfs" + x,
            header="sys/fsuid.h",
            thread_only=True,
        ),
    ]


_BAD_GROUPS = Error("EINVAL", "a group is -1 or is not mapped in this user namespace", "there are too many groups")
_NO_SETGROUPS = Error("EPERM", "the thread lacks CAP_SETGID, or this user namespace denies setgroups")

CALLS: Tuple[Call, ...] = tuple(
    _family("uid", "uid_t")
    + _family("gid", "gid_t")
    + [
        Call(
            "setgroups",
            (("size_t", "size"), ("const gid_t *", "list")),
            "Set the supplementary groups.",
            (_NO_SETGROUPS, _BAD_GROUPS, _BAD_POINTER),
            "setgroups(2); kernel/groups.c",
            in_c="list has size ids, 0 to NGROUPS_MAX.",
            shape="groups",
            raw=("setgroups", "size", "list"),
            essential=True,
            types_vary=True,
            drops=True,
            face=Face(
                (
                    (
                        "groups",
                        "Sequence[SupportsIndex]",
                        "The group ids, at most 65536. The whole sequence is read before the one system call.",
                    ),
                ),
                "None",
                raises=(
                    ("ValueError", "There are too many groups."),
                    ("OverflowError", "A group is out of range. 2**32-1 is out of range, too."),
                    ("TypeError", "``groups`` is not a sequence, or an item is not an integer."),
                ),
            ),
            proof=Proof(("[OTHER, GROUP, HIGH]",), "Groups", ("GROUP", "OTHER", "HIGH")),
        ),
        Call(
            "initgroups",
            (("const char *", "user"), ("gid_t", "group")),
            "Set the supplementary groups to those of a user in the group database, plus one group. The look-up comes "
            "first; one setgroups() call follows.",
            (_NO_SETGROUPS, _BAD_GROUPS, Error("ENOMEM", "there is no memory for the list")),
            "initgroups(3), getgrouplist(3)",
            shape="look_up_groups",
            raw=("setgroups", "count", "list"),
            needs=("getgrouplist",),
            types_vary=True,
            may_throw=True,
            refuse=("group",),
            face=Face(
                (
                    (
                        "username",
                        "str | bytes | os.PathLike[str]",
                        "The user's name, in a form that os.fsencode() accepts.",
                    ),
                    ("gid", "SupportsIndex", "The additional group, normally the user's primary group."),
                ),
                "None",
                raises=(
                    ("ValueError", "The name has a null byte."),
                    ("OverflowError", "``gid`` is out of range. 2**32-1 is out of range, too."),
                    ("TypeError", "An argument has the wrong type."),
                ),
            ),
            proof=Proof(('"libreplace-nobody"', "GROUP"), "Groups", ("GROUP",)),
        ),
        Call(
            "getgroups",
            (("int", "size"), ("gid_t *", "list")),
            "Read the supplementary groups.",
            (Error("EINVAL", in_c="size is smaller than the number of groups, and not 0"),),
            "getgroups(2); POSIX.1-2024 getgroups()",
            in_c="list has room for size ids. With size 0, the call only counts the groups.",
            kind="getter",
            result="the number of groups",
            face=Face((), "list[int]", "The group ids, in the kernel's order."),
        ),
    ]
)


def _each(names: List[str]) -> Tuple[str, ...]:
    """Without repetitions, in order."""
    return tuple(dict.fromkeys(names))


#: Every system call that a raw form makes.
SYSTEM_CALLS = _each([call.raw[0] for call in CALLS if call.raw])
#: The system calls of USE_LINUX_32BIT_SYSCALLS: all seven or none, as in Samba.
WIDE = _each([call.raw[0] for call in CALLS if call.essential])
#: Samba's order of the ways to set an effective id. setuidx() is a call of AIX and has no row here.
FAMILIES = (*(call.name for call in sorted(CALLS, key=lambda call: call.family) if call.family), "setuidx")
