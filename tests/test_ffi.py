# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace.ffi and replace.lib: the whole C library through cffi."""

import errno
import os
import re
import sys
import threading
from pathlib import Path

import headers
import pytest
from generate import generated_headers
from support.builds import ROOT, flags_for_c, run
from support.children import ALICE, as_root, in_child, needs_root

import replace
from replace import ffi, lib
from replace._proc import own_status


def test_import_loads_no_cffi():
    code = (
        "import replace, sys; print('_cffi_backend' in sys.modules); replace.lib; print('_cffi_backend' in sys.modules)"
    )
    assert run(sys.executable, "-c", code, cwd="/").stdout.split() == ["False", "True"]


#: Python code: from now on, cffi's extension module cannot be imported.
NO_CFFI = """
import sys
class NoCffi:
    def find_spec(name, path=None, target=None):
        if name == "_cffi_backend":
            raise {error}
sys.meta_path.insert(0, NoCffi)
import replace
"""
MISSING = "ModuleNotFoundError('No module named \"_cffi_backend\"', name='_cffi_backend')"
BROKEN = "ImportError('libffi.so.8: cannot open shared object file', name='_cffi_backend')"


def test_package_without_cffi_lacks_only_ffi_and_lib():
    code = NO_CFFI.format(error=MISSING)
    code += """
replace.preload()
lacking = []
for name in replace.__all__:
    try:
        getattr(replace, name)
    except ModuleNotFoundError:
        lacking.append(name)
print(lacking, replace.report()["version"] == replace.__version__, replace.getresuid() == __import__("os").getresuid())
if replace.getresuid() == (0, 0, 0) and replace.SCOPE == "thread":
    with replace.IdentityExecutor(1) as pool:
        assert pool.submit(replace.Identity(80001, 80011), replace.getresuid).result()[1] == 80001
"""
    out = run(sys.executable, "-c", code, cwd="/")
    assert out.stdout.splitlines() == ["['ffi', 'lib'] True True"], out.stderr


@pytest.mark.parametrize("error", [MISSING, BROKEN], ids=["missing", "broken"])
@pytest.mark.parametrize("name", ["ffi", "lib"])
def test_error_without_cffi_says_what_is_missing(name, error):
    out = run(sys.executable, "-c", NO_CFFI.format(error=error) + f"replace.{name}", cwd="/")
    last = out.stderr.splitlines()[-1]
    assert last.startswith(f"{error.split('(')[0]}: replace.ffi and replace.lib need the module _cffi_backend of the")
    assert error.split(":")[0].split("'")[1] in last
    assert "install cffi, or add the module to the frozen program" in last


@pytest.mark.parametrize(
    ("error", "call"), [(MISSING, "preload('_cffi_backend')"), (BROKEN, "preload()")], ids=["missing", "broken"]
)
def test_preload_without_cffi_fails_if_the_program_needs_it(error, call):
    """A broken cffi is an error, because the program comes with it. A missing one is an error if it is asked for."""
    out = run(sys.executable, "-c", NO_CFFI.format(error=error) + f"replace.{call}", cwd="/")
    assert out.stderr.splitlines()[-1].startswith("ImportError: preload() cannot import "), out.stderr


def test_ffi_needs_no_file_attribute():
    """A module whose loader knows no location has none, as in a program of cx_Freeze with a zip file."""
    code = "import replace; del replace._native.__file__; print(replace.lib.LIBREPLACE_SHIELD_UID)"
    assert run(sys.executable, "-c", code, cwd="/").stdout == f"{2**32 - 3}\n"


def header_text():
    """Return the text of replace.h and the headers that it includes, without comments."""
    folder = Path(flags_for_c("--includedir"), "libreplace")
    names = ["replace.h", *re.findall(r"<libreplace/(\w+\.h)>", (folder / "replace.h").read_text())]
    text = "".join((folder / name).read_text() for name in names)
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def test_lib_has_every_name_that_the_headers_declare():
    text = header_text()
    declared = set(
        re.findall(r"\b(?:libreplace|LIBREPLACE)_\w+", re.sub(r"<libreplace/.*|\b(?:struct|enum) \w+", "", text))
    )
    declared -= set(re.findall(r"#define (\w+(?=\(|$))", text, re.M))  # include guards, and macros with arguments
    assert set(dir(lib)) == declared
    assert len(declared) > 50


def test_ffi_has_every_struct_with_its_fields_and_every_enum():
    text = header_text()
    structs = re.findall(r"struct (\w+) \{(.*?)\n\};", text, re.S)
    assert {"libreplace_guard", "libreplace_identity"} <= {name for name, _ in structs}
    for name, body in structs:
        fields = re.findall(r"(\w+)(?:\[\d*\])?(?=[,;])", body)
        assert [field for field, _ in ffi.typeof("struct " + name).fields] == fields
    for name, body in re.findall(r"enum (\w+) \{(.*?)\};", text, re.S):
        values = {member: int(value) for member, value in re.findall(r"(\w+)\s*=\s*(\d+)", body)}
        assert ffi.typeof("enum " + name).relements == values


def test_constants_agree_with_the_build():
    assert (replace.SCOPE == "thread") == lib.LIBREPLACE_THREAD_SCOPE
    assert lib.LIBREPLACE_SHIELD_UID == 2**32 - 3
    assert ffi.string(lib.LIBREPLACE_BACKEND).decode() == replace.report()["verdict"]["backend"]
    assert ffi.string(lib.libreplace_build_info(b"version")).decode() == replace.__version__
    assert lib.libreplace_build_info(b"no such fact") == ffi.NULL


def test_lib_calls_agree_with_the_package():
    ids = ffi.new("uid_t[3]")
    assert lib.libreplace_getresuid(ids, ids + 1, ids + 2) == 0
    assert tuple(ids) == replace.getresuid()
    assert lib.libreplace_setuid(2**32 - 1) == -1
    assert ffi.errno == errno.EINVAL


ROOM = 64


def new_entry(identity=ALICE, room=ROOM):
    """Return a guard, an identity and its groups; the caller must keep all three."""
    groups = ffi.new("gid_t[]", sorted(identity.groups))
    fields = {"uid": identity.uid, "gid": identity.gid, "size": len(groups), "groups": groups}
    guard = ffi.new("struct libreplace_guard *", {"groups": 3 * room})
    assert lib.libreplace_guard_init(guard, ffi.sizeof("struct libreplace_guard") + 3 * room * ffi.sizeof("gid_t")) == 0
    return guard, ffi.new("struct libreplace_identity *", fields), groups


def ids_from_proc():
    """Return the ids of the calling thread from /proc."""
    found = own_status()
    return [tuple(map(int, found[line].split())) for line in ("Uid", "Gid", "Groups")]


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_enter_and_leave_change_one_thread():
    def body():
        guard, identity, groups = new_entry()
        before = ids_from_proc()

        def work():
            assert lib.libreplace_enter(guard, identity, lib.LIBREPLACE_LEVEL_SHIELDED) == 0
            assert guard.state == lib.LIBREPLACE_STATE_ENTERED
            assert lib.libreplace_check(guard) == 0
            inside = ids_from_proc()
            assert lib.libreplace_leave(guard) == 0
            assert guard.state == lib.LIBREPLACE_STATE_LEFT
            return inside, ids_from_proc()

        inside, after = in_thread(work)
        shield = lib.LIBREPLACE_SHIELD_UID
        assert inside == [(shield, 80001, 0, 80001), (80011, 80011, 0, 80011), (80011, 80021)]
        assert after == before == ids_from_proc() == [(0, 0, 0, 0), (0, 0, 0, 0), ()]

    as_root(body)


def test_failed_entry_reports_its_step():
    def body():
        replace.setgroups(range(10))
        guard, identity, groups = new_entry(room=2)
        assert lib.libreplace_enter(guard, identity, lib.LIBREPLACE_LEVEL_SHIELDED) == -1
        assert (ffi.errno, guard.error, guard.step) == (errno.ENOBUFS, errno.ENOBUFS, lib.LIBREPLACE_STEP_READ)
        assert guard.state == lib.LIBREPLACE_STATE_IDLE

    as_root(body)


def test_enter_fails_with_enosys_on_a_process_wide_build():
    needs_root()
    if replace.SCOPE == "thread":
        return

    def body():
        guard, identity, groups = new_entry()
        assert lib.libreplace_enter(guard, identity, lib.LIBREPLACE_LEVEL_SHIELDED) == -1
        assert (ffi.errno, guard.step) == (errno.ENOSYS, lib.LIBREPLACE_STEP_REFUSED)

    in_child(body)


def test_lib_and_the_package_count_the_same_switched_threads():
    """The process has one copy of the C library, so it has one count of switched threads."""

    def body():
        with replace.impersonate(ALICE):
            assert (lib.libreplace_active(), lib.libreplace_depth()) == (1, 1)
            assert lib.libreplace_drop_begin() == -1
            assert ffi.errno == errno.EBUSY
        guard, identity, groups = new_entry()
        entered, leave = threading.Event(), threading.Event()

        def work():
            try:
                assert lib.libreplace_enter(guard, identity, lib.LIBREPLACE_LEVEL_SHIELDED) == 0
            finally:
                entered.set()
            leave.wait()
            assert lib.libreplace_leave(guard) == 0

        thread = threading.Thread(target=work)
        thread.start()
        entered.wait()
        with pytest.raises(replace.IdentityRefused, match="1 thread holds an identity"):
            replace.drop_privileges(ALICE)
        leave.set()
        thread.join()
        assert os.getresuid() == (0, 0, 0)

    as_root(body)


# ---- detect/headers.py

SAMPLE = """\
/* a comment with "quotes" */
#ifndef X_H
#define X_H
#include <stddef.h>
#include <libreplace/other.h>
#ifdef __cplusplus
extern "C" {
#endif
#define X_NUMBER 3 // one
#define X_TEXT "a /* not a comment */ b"
#define X_LONG \\
	((uid_t)4294967293U)
#define X_MACRO(a) ((a) + \\
	1)
enum x_kind { X_A = 1, X_B = 1 << 4, };
struct x_hidden;
struct x { unsigned a, b; const struct x *next; struct x_hidden *hidden;
#if !defined __cplusplus && defined __STDC_VERSION__ && __STDC_VERSION__ >= 199901L
	gid_t list[];
#else
	int none;
#endif
#ifdef __cplusplus
#if anything
	int nothing;
#endif
#endif
};
const char *x_name(enum x_kind kind, int (*function)(void *, int), gid_t list[]);
void x_end(void);
#endif
"""


def test_header_parser_finds_every_declaration():
    found = headers.parse(SAMPLE, {"other.h": "int other(int);\n#ifdef X_H\nint also(int a);\n#endif\n"}.__getitem__)
    assert found.constants == {"X_NUMBER": "3", "X_TEXT": '"a /* not a comment */ b"', "X_LONG": "((uid_t)4294967293U)"}
    assert found.enums == (("x_kind", ("X_A", "X_B")),)
    fields = ("unsigned a, b", "const struct x *next", "struct x_hidden *hidden", "gid_t list[]")
    assert (found.opaque, found.structs) == (("x_hidden",), (("x", fields),))
    names = [[name for _, name in function.params] for function in found.functions]
    assert [function.name for function in found.functions] == ["other", "also", "x_name", "x_end"]
    assert names[1:] == [["a"], ["kind", "function", "list"], []]


@pytest.mark.parametrize(
    "text",
    ["#if X > 1\n#endif\n", "typedef int x;\n", "static inline int f(void) { return 1; }\n", "union x { int a; };\n"],
)
def test_header_parser_refuses_unknown_declarations(text):
    with pytest.raises(headers.Unknown):
        headers.parse(text, {}.__getitem__)


def test_every_public_header_is_parsed():
    """replace.h includes every other public header of the source, and those that the build writes."""
    included = re.findall(r"<libreplace/(\w+\.h)>", (ROOT / "replace/core/libreplace/replace.h").read_text())
    files = {path.name for path in (ROOT / "replace/core/libreplace").glob("*.h")}
    assert files - {"replace.h"} == set(included) - set(generated_headers({}))
