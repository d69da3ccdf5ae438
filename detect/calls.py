# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""THE TABLE: one row per uniform call.

Everything that names the calls - the generated C, its header, the cffi
declarations, the override header, the report, the tests of the Python stub -
reads this.  The other half is verdict.py, which picks a body for each row.

Runs on the oldest Python that Meson allows (3.7), with nothing installed.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple


class Call(NamedTuple):
    name: str  # uniform name; C adds the prefix libreplace_
    params: Tuple[Tuple[str, str], ...]  # (C type, name)
    doc: str  # what it does and what its errors are
    source: str  # where that is written down
    kind: str = "setter"  # setter | getter
    raw: Optional[Tuple[str, ...]] = None  # system call and its arguments
    libc: Optional[str] = None  # libc function that does the same, if not `name`
    refuse: Tuple[str, ...] = ()  # parameters where -1 is EINVAL, not "unchanged"
    emulations: Dict[str, str] = {}  # kernel -> body, where libc lacks the call
    override: bool = True  # may replace_override.h map the libc name here?

    @property
    def symbol(self) -> str:
        return "libreplace_" + self.name

    @property
    def prototype(self) -> str:
        args = ", ".join(f"{ctype}{'' if ctype.endswith('*') else ' '}{name}" for ctype, name in self.params)
        return f"int {self.symbol}({args or 'void'})"


EINVAL_GUARD = "if ({arg} == ({type})-1) {{\n\terrno = EINVAL;\n\treturn -1;\n}}\n"


def _ids(kind: str, *names: str) -> Tuple[Tuple[str, str], ...]:
    return tuple((kind, name) for name in names)


def _darwin_setres(t: str, x: str) -> str:
    """macOS: xnu bsd/kern/kern_prot.c, setreuid()/setregid(), seteuid()/setegid()."""
    r, e, s = "r" + x, "e" + x, "s" + x
    unset = f"({t})-1"
    return f"""\
/* xnu has no setres{x}(); only what its own calls do in every state alike is done, the rest is ENOSYS */
if ({r} == {unset} && {e} == {unset} && {s} == {unset})
	return 0;
if ({r} == {unset} && {s} == {unset})
	return {e} == gete{x}() ? 0 : sete{x}({e});
if ({e} == {s} && ({r} == {unset} || {r} == {e}))
	return setre{x}({r}, {e});
errno = ENOSYS;
return -1;"""


def _netbsd_setres(t: str, x: str) -> str:
    """NetBSD: sys/kern/kern_prot.c, do_setresuid(), sys_setreuid(), sys_setuid()."""
    r, e, s = "r" + x, "e" + x, "s" + x
    unset = f"({t})-1"
    return f"""\
/* NetBSD has no setres{x}(); only what its own calls do in every state alike is done, the rest is ENOSYS */
if ({r} == {unset} && {e} == {unset} && {s} == {unset})
	return 0;
if ({r} == {unset} && {s} == {unset})
	return setre{x}({unset}, {e});
if ({r} == {e} && {e} == {s} && (geteuid() == 0 || {r} == get{x}()))
	return set{x}({r});
errno = ENOSYS;
return -1;"""


_EPERM = "EPERM: without CAP_SETUID (CAP_SETGID for groups) an id is none of the present ones."
_EINVAL = "EINVAL: an id is not mapped in this user namespace."


def _family(x: str, t: str) -> List[Call]:
    """The five calls that exist alike for uids and gids."""
    word = "user" if x == "uid" else "group"
    man = f"set{x}(2), setre{x}(2), setres{x}(2); POSIX.1-2024 set{x}(), sete{x}(), setre{x}(); kernel/sys.c"
    refused = f'EINVAL too where the id is -1: it never means "unchanged" here. {_EINVAL}'
    return [
        Call(
            "set" + x,
            _ids(t, x),
            f"Set the effective {word} id; with privilege the real and the saved one too. {_EPERM} {refused}",
            man,
            raw=("set" + x, x),
            refuse=(x,),
        ),
        Call(
            "sete" + x,
            _ids(t, "e" + x),
            f"Set the effective {word} id alone. {_EPERM} {refused}",
            man,
            raw=("setres" + x, "-1", "e" + x, "-1"),
            refuse=("e" + x,),
        ),
        Call(
            "setre" + x,
            _ids(t, "r" + x, "e" + x),
            f"Set the real and the effective {word} id; -1 leaves one unchanged. {_EPERM} {_EINVAL}",
            man,
            raw=("setre" + x, "r" + x, "e" + x),
        ),
        Call(
            "setres" + x,
            _ids(t, "r" + x, "e" + x, "s" + x),
            f"Set the real, effective and saved {word} id; -1 leaves one unchanged. {_EPERM} {_EINVAL}",
            man,
            raw=("setres" + x, "r" + x, "e" + x, "s" + x),
            emulations={"darwin": _darwin_setres(t, x), "netbsd": _netbsd_setres(t, x)},
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
            raw=("setfs" + x, "fs" + x),
            refuse=("fs" + x,),
            override=False,
        ),
        Call(
            "getfs" + x,
            ((t + " *", "fs" + x),),
            f"Read the {word} id that file system access is checked with.",
            f"setfs{x}(2), which returns the present id when given -1",
            kind="getter",
            raw=("setfs" + x, "-1"),
            libc="setfs" + x,
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
            raw=("setgroups", "size", "list"),
        ),
        Call(
            "initgroups",
            (("const char *", "user"), ("gid_t", "group")),
            "Set the supplementary groups to those that the group database lists for user, and group. The "
            "look-up comes first, the one setgroups after it. ENOMEM: no room for the list; else as "
            "libreplace_setgroups().",
            "initgroups(3), getgrouplist(3)",
            raw=("setgroups", "count", "list"),
            refuse=("group",),
        ),
        Call(
            "getgroups",
            (("int", "size"), ("gid_t *", "list")),
            "Read the supplementary groups; returns how many there are. With size 0 it only counts. EINVAL: size "
            "is smaller than that count.",
            "getgroups(2); POSIX.1-2024 getgroups()",
            kind="getter",
        ),
    ]
)

#: The seven calls of USE_LINUX_32BIT_SYSCALLS: all or none (Samba's set).
WIDE = ("setresuid", "setresgid", "setreuid", "setregid", "setuid", "setgid", "setgroups")
#: Their two Linux-only companions, which follow the seven.
WIDE_FS = ("setfsuid", "setfsgid")
