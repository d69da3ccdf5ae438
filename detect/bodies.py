# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The C code of each call: the text between its braces.

A row of calls.py names the shape of its call, and each shape is a function here. This file also has the emulations.
A body depends only on its row and on the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from calls import Call
    from verdict import Chosen, Verdict


def _refusal(condition: str) -> str:
    return f"if ({condition}) {{\n\terrno = EINVAL;\n\treturn -1;\n}}\n"


def _guard(call: Call) -> str:
    """Code that refuses -1 in each argument for which -1 does not mean "unchanged"."""
    types = {name: ctype for ctype, name in call.params}
    return "".join(_refusal(f"{name} == ({types[name]})-1") for name in call.refuse)


def _guarded(guard: str, text: str) -> str:
    """The text with the guard before its first statement. In the text, an empty line ends the declarations."""
    declarations, empty, rest = text.rpartition("\n\n")
    return declarations + empty + guard + rest


# ---- Helpers: static functions of the generated module


class Helper(NamedTuple):
    headers: Tuple[str, ...]
    text: str


#: The name of each helper. The module has those that its calls use.
HELPERS: Dict[str, Helper] = {
    "keep_errno": Helper(
        (),
        """\
/*
 * Return libc's result. If libc's function succeeded, restore errno, which the function may have
 * changed.
 * Source: POSIX.1-2024 errno.
 */
static int keep_errno(int before, int result)
{
	if (result >= 0)
		errno = before;
	return result;
}
""",
    ),
    "stat_new_pipe": Helper(
        ("fcntl.h", "sys/stat.h", "sys/syscall.h"),
        """\
/*
 * The owner of a new pipe has the file system ids of the calling thread. This function gets them.
 * Source: get_pipe_inode() in fs/pipe.c.
 */
static int stat_new_pipe(struct stat *made)
{
	int ends[2] = {-1, -1}, error = 0;

	made->st_mode = 0; /* a filter can also return 0 without making the call */
	if (pipe2(ends, O_CLOEXEC) != 0 || fstat(ends[0], made) != 0)
		error = errno == ENOSYS ? EPERM : errno; /* ENOSYS is for systems without fs ids */
	else if (!S_ISFIFO(made->st_mode))
		error = EPERM;
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			syscall(SYS_close, ends[i]); /* close() is a cancellation point */
	if (error != 0)
		errno = error;
	return error == 0 ? 0 : -1;
}
""",
    ),
}


# ---- Emulations: only the cases with provably the same result in every reachable state (docs/platforms.md)


class Emulation(NamedTuple):
    calls: Tuple[str, ...]  # the setters that it calls; {x} stands for uid or gid
    text: str


EMULATIONS: Dict[str, Dict[str, Emulation]] = {
    "setres": {
        # xnu bsd/kern/kern_prot.c, setreuid()/setregid(), seteuid()/setegid()
        "darwin": Emulation(
            ("setre{x}", "sete{x}"),
            """\
int before = errno;

/* xnu has no setres{x}(); this emulates only the cases that its calls cover exactly */
if (r{x} == {unset} && e{x} == {unset} && s{x} == {unset})
	return 0;
if (r{x} == {unset} && s{x} == {unset})
	return keep_errno(before, e{x} == gete{x}() ? 0 : sete{x}(e{x}));
if (e{x} == s{x} && (r{x} == {unset} || r{x} == e{x}))
	return keep_errno(before, setre{x}(r{x}, e{x}));
errno = ENOSYS;
return -1;""",
        ),
        # NetBSD sys/kern/kern_prot.c, do_setresuid(), sys_setreuid(), sys_setuid()
        "netbsd": Emulation(
            ("setre{x}", "set{x}"),
            """\
int before = errno;

/* NetBSD has no setres{x}(); this emulates only the cases that its calls cover exactly */
if (r{x} == {unset} && e{x} == {unset} && s{x} == {unset})
	return 0;
if (r{x} == {unset} && s{x} == {unset})
	return keep_errno(before, setre{x}({unset}, e{x}));
if (r{x} == e{x} && e{x} == s{x} && (geteuid() == 0 || r{x} == get{x}()))
	return keep_errno(before, set{x}(r{x}));
errno = ENOSYS;
return -1;""",
        ),
    },
}


def emulation(call: Call, system: str) -> Optional[Emulation]:
    """The emulation of a call on a system, or None."""
    found = EMULATIONS.get(call.emulation, {}).get(system)
    words = {"x": call.unit, "unset": f"({call.unit}_t)-1"}
    return found and Emulation(tuple(c.format(**words) for c in found.calls), found.text.format(**words))


# ---- Shapes


def _plain(chosen: Chosen, verdict: Verdict) -> str:
    """One call of the kernel or of libc's function."""
    call = chosen.call
    if chosen.backend == "syscall":
        return f"return (int)syscall({', '.join((chosen.symbol, *call.raw[1:]))});"
    arguments = tuple(name for _, name in call.params)
    if call.instead and chosen.symbol == call.instead[0]:
        arguments = call.instead[1:]
    return _kept(f"{chosen.symbol}({', '.join(arguments)})")


def _kept(value: str) -> str:
    """Code that returns the result of libc, and keeps errno if it is a success."""
    return f"int before = errno;\n\nreturn keep_errno(before, {value});"


def _ask(chosen: Chosen, value: str) -> str:
    """C code that calls setfsuid() or setfsgid(). The result is the id from before the call, or an error."""
    return f"syscall({chosen.symbol}, {value})" if chosen.backend == "syscall" else f"{chosen.symbol}({value})"


def _ask_by_setting(chosen: Chosen, verdict: Verdict) -> str:
    """A getter that passes -1 to the setter, which returns the current id (setfsuid(2)).

    An error looks like an id. In C's int, and in the long of 32-bit platforms, -4095 to -1 are errors or the highest
    ids, and syscall() turns them all into -1. A filter can also return 0 without making the call. So a doubtful result
    is not used: the owner of a new pipe has the same ids, and fstat() stores them, so no error can look like them.
    """
    ((_, name),) = chosen.call.params
    unit = chosen.call.unit
    return (
        f"int before = errno;\n"
        f"{unit}_t now = ({unit}_t){_ask(chosen, f'({unit}_t)-1')};\n"
        "struct stat made;\n\n"
        "/* is this an error, or the result of a filter that does not make the call? */\n"
        f"if (now >= ({unit}_t)-4095 || (now == 0 && gete{unit}() != 0)) {{\n"
        "\tif (stat_new_pipe(&made) != 0)\n\t\treturn -1;\n"
        f"\tnow = made.st_{unit};\n}}\n"
        f"*{name} = now;\nerrno = before;\nreturn 0;"
    )


def _set_and_compare(chosen: Chosen, verdict: Verdict) -> str:
    """A setter that reports no error (setfsuid(2)): sets the id, asks for it and compares."""
    ((_, name),) = chosen.call.params
    unit = chosen.call.unit
    return (
        f"int before = errno;\n{unit}_t now;\n\n"
        f"(void){_ask(chosen, name)};\n"
        f"if (libreplace_getfs{unit}(&now) != 0)\n\treturn -1;\n"
        f"if (now != {name}) {{\n\terrno = EPERM;\n\treturn -1;\n}}\n"
        "errno = before;\nreturn 0;"
    )


#: Linux refuses -1 in the list; other kernels accept it as an id.
_LIST_GUARD = """\
for (size_t i = 0; list != NULL && i < size; i++) {
	if (list[i] == (gid_t)-1) {
		errno = EINVAL;
		return -1;
	}
}
"""


def _groups(chosen: Chosen, verdict: Verdict) -> str:
    """setgroups(). The kernel takes an int, so without the first test 2**32 groups would become 0 groups."""
    guard = _refusal("size > INT_MAX") + ("" if verdict.system == "linux" else _LIST_GUARD)
    if chosen.backend == "libc" and not verdict.size_t_groups:
        return _guarded(guard, _kept(f"{chosen.symbol}((int)size, list)"))
    return _guarded(guard, _plain(chosen, verdict))


_LOOK_UP = """\
int count = 64, room = 0, result = -1, saved = errno;
gid_t *list = NULL, *larger;

do {
	room = count > room ? count : room * 2;
	larger = realloc(list, (size_t)room * sizeof *list);
	if (larger == NULL)
		goto out;
	list = larger;
	count = room;
} while (getgrouplist(user, group, list, &count) < 0 && room < 1 << 24);
result = (int)syscall(%s, (size_t)count, list);
out:
if (result != 0)
	saved = errno;
free(list);
errno = saved;
return result;"""


def _look_up_groups(chosen: Chosen, verdict: Verdict) -> str:
    """initgroups(). With raw calls we look up the groups, because libc's initgroups() changes every thread."""
    if chosen.backend == "syscall":
        return _LOOK_UP % chosen.symbol
    if verdict.system == "darwin":
        return _kept(f"{chosen.symbol}(user, (int)group)")
    return _plain(chosen, verdict)


SHAPES: Dict[str, Callable[[Chosen, Verdict], str]] = {
    "plain": _plain,
    "ask_by_setting": _ask_by_setting,
    "set_and_compare": _set_and_compare,
    "groups": _groups,
    "look_up_groups": _look_up_groups,
}


def body(chosen: Chosen, verdict: Verdict) -> str:
    """The body of one call on this platform."""
    call = chosen.call
    if chosen.backend == "none":
        return "".join(f"(void){name};\n" for _, name in call.params) + "errno = ENOSYS;\nreturn -1;"
    if chosen.backend == "emulated":
        emulated = emulation(call, verdict.system)
        assert emulated
        return _guarded(_guard(call), emulated.text)
    return _guarded(_guard(call), SHAPES[call.shape](chosen, verdict))
