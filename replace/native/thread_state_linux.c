/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads and restores what Linux keeps for each thread besides its ids. A task of a pool may change
 * it, and the next user's task runs in the same thread. This is in C because most of these calls
 * are not in Python, and because reading takes 30 system calls. thread_state_none.c is for other
 * kernels.
 *
 * The list comes from struct task_struct, struct cred, struct fs_struct and struct nsproxy.
 * Source: copy_process() and ksys_unshare() in kernel/fork.c, prctl(2), proc_pid_status(5).
 */
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "native.h"

/* ---- What is restored */

struct settings {
	sigset_t signals;
	fenv_t floats; /* rounding, traps, and on some processors whether tiny numbers become 0 */
	locale_t locale;
	char name[16]; /* TASK_COMM_LEN */
};

PyObject *native_thread_settings(PyObject *module, PyObject *unused)
{
	struct settings now;

	(void)module;
	(void)unused;
	memset(&now, 0, sizeof now);
	errno = pthread_sigmask(SIG_SETMASK, NULL, &now.signals);
	if (errno != 0 || prctl(PR_GET_NAME, now.name) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	fegetenv(&now.floats);
	now.locale = uselocale((locale_t)0);
	return PyBytes_FromStringAndSize((const char *)&now, sizeof now);
}

/* The signal mask comes last: a handler of a signal that has waited runs in the restored thread. */
PyObject *native_restore_settings(PyObject *module, PyObject *settings)
{
	struct settings then;
	Py_ssize_t size;
	char *bytes;

	(void)module;
	if (PyBytes_AsStringAndSize(settings, &bytes, &size) != 0)
		return NULL;
	if (size != (Py_ssize_t)sizeof then) {
		errno = EINVAL;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	memcpy(&then, bytes, sizeof then);
	fesetenv(&then.floats);
	uselocale(then.locale);
	if (prctl(PR_SET_NAME, then.name) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	errno = pthread_sigmask(SIG_SETMASK, &then.signals, NULL);
	return native_nothing(errno == 0 ? 0 : -1);
}

/* ---- What is read: lines of text, one for each setting */

struct text {
	char *start;
	size_t size, room;
};

/* Make room for @more bytes. Return: 0, or -1 with errno set. */
static int reserve(struct text *text, size_t more)
{
	char *larger;

	if (text->room - text->size >= more)
		return 0;
	larger = PyMem_Realloc(text->start, text->room + more + 4096);
	if (larger == NULL) {
		errno = ENOMEM;
		return -1;
	}
	text->start = larger;
	text->room += more + 4096;
	return 0;
}

static int add_line(struct text *text, const char *name, long long value)
{
	if (reserve(text, 80) != 0)
		return -1;
	text->size += (size_t)PyOS_snprintf(text->start + text->size, 80, "%s %lld\n", name, value);
	return 0;
}

static int add_bytes(struct text *text, const char *name, const void *bytes, size_t size)
{
	if (add_line(text, name, (long long)size) != 0 || reserve(text, size + 1) != 0)
		return -1;
	memcpy(text->start + text->size, bytes, size);
	text->size += size;
	text->start[text->size++] = '\n';
	return 0;
}

/* Whether a call was refused as a whole: by a filter, or because this kernel lacks it. */
static int is_refused(int error)
{
	return error == ENOSYS || error == EPERM;
}

/* Add the result of a call that every thread may make. If a filter refuses it, nobody can tell. */
static int add_call(struct text *text, const char *name, long result)
{
	return result == -1 && is_refused(errno) ? -1 : add_line(text, name, result);
}

/*
 * The settings of prctl(2) that belong to one thread. An error means that this kernel or processor
 * lacks the setting. PR_SET_PDEATHSIG is not here: each switch clears it. The headers may be older
 * than the kernel, so these are the numbers of linux/prctl.h.
 */
enum { RETURNED, STORED };
static const struct {
	const char *name;
	int option;
	unsigned long argument;
	int how;
} settings[] = {
    {"no_new_privs", 39, 0, RETURNED},
    {"securebits", 27, 0, RETURNED}, /* with KEEPCAPS */
    {"timer slack", 30, 0, RETURNED},
    {"store bypass", 52, 0, RETURNED},
    {"indirect branch", 52, 1, RETURNED},
    {"L1D flush", 52, 2, RETURNED},
    {"memory failures", 34, 0, RETURNED},
    {"IO_FLUSHER", 58, 0, RETURNED},
    {"time stamp counter", 25, 0, STORED},
    {"unaligned access", 5, 0, STORED},
    {"floating point emulation", 9, 0, STORED},
    {"floating point exceptions", 11, 0, STORED},
    {"byte order", 19, 0, STORED},
    {"floating point mode", 46, 0, RETURNED},
    {"vectors", 51, 0, RETURNED},
    {"tagged addresses", 56, 0, RETURNED},
    {"pointer authentication", 61, 0, RETURNED},
    {"streaming vectors", 64, 0, RETURNED},
    {"RISC-V vectors", 70, 0, RETURNED},
    {"shadow stack", 74, 0, STORED},
};

enum { IO_FLUSHER = 58, SCHED_CORE = 62 };

static int add_prctl(struct text *text)
{
	static char lacks[sizeof settings / sizeof *settings]; /* this kernel or processor */
	unsigned long long cookie = 0;
	uint64_t value;
	long result;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		if (lacks[i])
			continue;
		value = 0;
		result = settings[i].how == RETURNED
		             ? prctl(settings[i].option, settings[i].argument, 0L, 0L, 0L)
		             : prctl(settings[i].option, &value, 0L, 0L, 0L);
		if (result == -1 && errno == EINVAL) {
			lacks[i] = 1;
			continue;
		}
		/* PR_GET_IO_FLUSHER and PR_SET_IO_FLUSHER need the same capability */
		if (result == -1 && is_refused(errno) && settings[i].option != IO_FLUSHER)
			return -1;
		if (add_line(text, settings[i].name,
		             result == -1
		                 ? -errno
				 : (settings[i].how == RETURNED ? result : (long)value)) != 0)
			return -1;
	}
	result = prctl(SCHED_CORE, 0L, 0L, 0L, &cookie); /* 0: of this thread */
	return add_line(text, "core cookie", result == -1 ? -errno : (long long)cookie);
}

/* struct sched_attr of linux/sched/types.h, with room for later members */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	uint8_t rest[112];
};

static int add_scheduling(struct text *text)
{
	struct scheduling now;
	long priority;

	memset(&now, 0, sizeof now);
#ifdef SYS_sched_getattr
	if (syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) != 0)
		return -1;
#else
	errno = ENOSYS;
	return -1;
#endif
	if (add_bytes(text, "scheduling", &now, sizeof now) != 0 ||
	    add_call(text, "nice", syscall(SYS_getpriority, 0, 0)) != 0)
		return -1;
	priority = syscall(SYS_ioprio_get, 1, 0);
	/* With class 0, the kernel may report another level after the first I/O of the thread. */
	return add_call(text, "I/O priority", priority >= 0 && priority >> 13 == 0 ? 0 : priority);
}

/* Where get_mempolicy(2) is refused, set_mempolicy(2) must be refused as well. */
static int add_memory_policy(struct text *text)
{
	unsigned long nodes[4096 / (8 * sizeof(unsigned long))];
	int mode = 0, error;

	memset(nodes, 0, sizeof nodes);
	if (syscall(SYS_get_mempolicy, &mode, nodes, 4096UL, NULL, 0UL) == 0)
		return add_line(text, "memory policy", mode) != 0
		           ? -1
			   : add_bytes(text, "nodes", nodes, sizeof nodes);
	error = errno;
	if (is_refused(error) && syscall(SYS_set_mempolicy, -1, NULL, 0UL) == -1 &&
	    is_refused(errno))
		return add_line(text, "memory policy", -1);
	errno = error;
	return -1;
}

static int add_processor(struct text *text)
{
	stack_t stack;

#ifdef __x86_64__
	if (add_line(text, "cpuid", syscall(SYS_arch_prctl, 0x1011, 0)) != 0) /* ARCH_GET_CPUID */
		return -1;
#endif
	if (sigaltstack(NULL, &stack) != 0 ||
	    add_line(text, "signal stack flags", stack.ss_flags) != 0)
		return -1;
	if (stack.ss_flags & SS_DISABLE)
		return 0;
	return add_line(text, "signal stack", (long long)(intptr_t)stack.ss_sp);
}

/*
 * Whether the thread shares something with the main thread: its descriptors, its directories, its
 * semaphore adjustments. unshare(2) ends that. Where kcmp(2) is refused, unshare(2) must be refused
 * as well. Source: kernel/kcmp.c, linux/kcmp.h.
 */
enum { DESCRIPTORS, DIRECTORIES, SEMAPHORES, KINDS };

static int add_shared(struct text *text, int *is_shared)
{
	static const struct {
		const char *name;
		int type;
	} shared[KINDS] = {{"descriptors", 2}, {"directories", 3}, {"semaphores", 6}};
	pid_t main_thread = getpid();
	long me = syscall(SYS_gettid), result;
	int error;

	for (int i = 0; i < KINDS; i++) {
		result = syscall(SYS_kcmp, me, main_thread, shared[i].type, 0UL, 0UL);
		error = errno;
		if (result == -1 && !(syscall(SYS_unshare, 0) == -1 && is_refused(errno))) {
			errno = error;
			return -1;
		}
		is_shared[i] = result <= 0;
		/* 1 and 2 say which is larger, which changes with the other object */
		if (add_line(text, shared[i].name, result > 0 ? 1 : result) != 0)
			return -1;
	}
	return 0;
}

/* Read a file, and store its end as a new part of @text. Return: its size, or -1 with errno set. */
static ssize_t read_whole(struct text *text, int folder, const char *path)
{
	int file = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), error;
	size_t start = text->size;
	ssize_t got;

	if (file < 0)
		return -1;
	do {
		got = reserve(text, 4096) != 0
		          ? -1
		          : read(file, text->start + text->size, text->room - text->size);
		if (got > 0)
			text->size += (size_t)got;
	} while (got > 0 || (got == -1 && errno == EINTR));
	error = errno;
	close(file);
	errno = error;
	if (got < 0) {
		text->size = start;
		return -1;
	}
	return (ssize_t)(text->size - start);
}

/* Add a file as it is. An error is a value, too: this kernel has no such file, or it has no
 * contents. */
static ssize_t add_file(struct text *text, int folder, const char *path)
{
	ssize_t size;

	if (add_line(text, path, 0) != 0)
		return -1;
	size = read_whole(text, folder, path);
	if (size < 0 && errno != ENOENT && errno != EINVAL && errno != ENODATA &&
	    errno != EOPNOTSUPP)
		return -1;
	if (size < 0 && add_line(text, "error", errno) != 0)
		return -1;
	return size < 0 ? 0 : size;
}

static int starts_with(const char *line, const char *name)
{
	return strncmp(line, name, strlen(name)) == 0;
}

/* Remove the lines of a status file that change by themselves, such as the memory that is used.
 * Stores @filters: whether the file counts the seccomp filters, and @mode. */
static void keep_lines(struct text *text, size_t start, int *mode, int *counted)
{
	static const char *const kept[] = {"TracerPid:", "Uid:",    "Gid:",          "Groups:",
	                                   "Cap",        "Seccomp", "Cpus_allowed:", "x86_Thread_"};
	char *from = text->start + start, *to = from, *end = text->start + text->size, *next;

	*mode = *counted = 0;
	for (; from < end; from = next) {
		next = memchr(from, '\n', (size_t)(end - from));
		next = next == NULL ? end : next + 1;
		for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
			if (!starts_with(from, kept[i]))
				continue;
			if (starts_with(from, "Seccomp:\t"))
				*mode = from[9] - '0';
			if (starts_with(from, "Seccomp_filters:"))
				*counted = 1;
			memmove(to, from, (size_t)(next - from));
			to += next - from;
			break;
		}
	}
	text->size = (size_t)(to - text->start);
}

/* Whether a thread without rights could add a Landlock domain, which nothing shows. */
static int may_have_domain(void)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 0)
		return 0; /* it would have to set this first, which is seen */
#ifdef SYS_landlock_create_ruleset
	return syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1U) > 0; /* the version */
#else
	return 1;
#endif
}

static int add_status(struct text *text, int folder)
{
	int mode, counted;
	size_t start;

	if (add_line(text, "status", 0) != 0)
		return -1;
	start = text->size;
	if (read_whole(text, folder, "status") <= 0 || reserve(text, 1) != 0)
		return -1;
	text->start[text->size] = '\0';
	keep_lines(text, start, &mode, &counted);
	if ((mode != 0 && !counted) || may_have_domain()) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return 0;
}

/* The labels of SELinux, AppArmor and Smack. A thread can change most of them for itself. The
 * kernel chooses its modules when it boots. */
static int add_labels(struct text *text, int folder)
{
	static const char *const files[] = {
	    "attr/exec",         "attr/fscreate",         "attr/keycreate",
	    "attr/sockcreate",   "attr/apparmor/current", "attr/apparmor/exec",
	    "attr/smack/current"};
	static int is_without;
	size_t start = text->size;
	ssize_t size = is_without ? 0 : add_file(text, folder, "attr/current");

	if (size <= 0) {
		is_without = size == 0;
		text->size = start; /* the next reading has no such lines */
		return (int)size;
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (add_file(text, folder, files[i]) < 0)
			return -1;
	return 0;
}

/*
 * The control groups of version 1: a user who owns such a group can put a thread into it. In
 * version 2, this needs the right to change the group of the whole process. A line of version 2
 * begins with 0, and is the last one. Source: cgroups(7), cgroup_procs_write_permission() in
 * kernel/cgroup/cgroup.c.
 */
static int add_cgroups(struct text *text, int folder)
{
	static int is_without;
	size_t start = text->size;

	if (is_without)
		return 0;
	if (add_file(text, folder, "cgroup") < 0 || reserve(text, 1) != 0)
		return -1;
	text->start[text->size] = '\0';
	is_without = starts_with(text->start + start, "cgroup 0\n0::");
	if (is_without)
		text->size = start; /* the next reading has no such lines */
	return 0;
}

/*
 * The name spaces that one thread of several can leave: not user, and pid and time only for its
 * children. Who leaves mnt also gets directories of its own, and who leaves ipc semaphore
 * adjustments of its own. So these links need not be read in a thread that shares them with the
 * main thread.
 */
static int add_namespaces(struct text *text, int folder, const int *is_shared)
{
	const char *const names[] = {"net",
	                             "uts",
	                             "cgroup",
	                             "pid_for_children",
	                             "time_for_children",
	                             is_shared[DIRECTORIES] ? NULL : "mnt",
	                             is_shared[SEMAPHORES] ? NULL : "ipc"};
	int spaces = openat(folder, "ns", O_PATH | O_DIRECTORY | O_CLOEXEC), error, result = 0;
	char link[64];
	ssize_t size;

	if (spaces < 0)
		return -1;
	for (size_t i = 0; i < sizeof names / sizeof *names && result == 0; i++) {
		if (names[i] == NULL)
			continue;
		size = readlinkat(spaces, names[i], link, sizeof link);
		if (size < 0)
			result = errno == ENOENT ? add_line(text, names[i], -ENOENT) : -1;
		else
			result = add_bytes(text, names[i], link, (size_t)size);
	}
	error = errno;
	close(spaces);
	errno = error;
	return result;
}

/* The folder that the thread sees as /, and its mount: chroot(2), pivot_root(2). If the thread
 * shares its directories, this is a setting of the process. */
static int add_root(struct text *text, int folder)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), result = -1, error;
	char path[32];
	struct stat found;

	if (root < 0)
		return -1;
	PyOS_snprintf(path, sizeof path, "fdinfo/%d", root);
	if (fstat(root, &found) == 0 && add_line(text, "device", (long long)found.st_dev) == 0 &&
	    add_line(text, "inode", (long long)found.st_ino) == 0 &&
	    add_line(text, "root", 0) == 0 && read_whole(text, folder, path) > 0)
		result = 0;
	error = errno;
	close(root);
	errno = error;
	return result;
}

static int add_proc(struct text *text, const int *is_shared)
{
	int folder = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC), result = -1,
	    error;
	struct statfs system;

	if (folder < 0)
		return -1;
	if (fstatfs(folder, &system) == 0 && system.f_type != 0x9fa0) /* PROC_SUPER_MAGIC */
		errno = EOPNOTSUPP;
	else if (add_status(text, folder) == 0 && add_cgroups(text, folder) == 0 &&
	         add_file(text, folder, "loginuid") >= 0 && add_labels(text, folder) == 0 &&
	         (is_shared[DIRECTORIES] || add_root(text, folder) == 0))
		result = add_namespaces(text, folder, is_shared);
	error = errno;
	close(folder);
	errno = error;
	return result;
}

PyObject *native_thread_state(PyObject *module, PyObject *unused)
{
	struct text text = {NULL, 0, 0};
	PyObject *result = NULL;
	int is_shared[KINDS];

	(void)module;
	(void)unused;
	errno = 0;
	if (add_prctl(&text) == 0 && add_scheduling(&text) == 0 && add_memory_policy(&text) == 0 &&
	    add_call(&text, "personality", syscall(SYS_personality, 0xffffffffUL)) == 0 &&
	    add_processor(&text) == 0 && add_shared(&text, is_shared) == 0 &&
	    add_proc(&text, is_shared) == 0)
		result = PyBytes_FromStringAndSize(text.start, (Py_ssize_t)text.size);
	else
		PyErr_SetFromErrno(PyExc_OSError);
	PyMem_Free(text.start);
	return result;
}

/* ---- Keyrings. The numbers are those of linux/keyctl.h, which systems with musl may not have. */

enum { GET_KEYRING_ID = 0, JOIN_SESSION_KEYRING = 1, SET_REQKEY_KEYRING = 14 };
enum { THREAD_KEYRING = -1, PROCESS_KEYRING = -2 };
enum { NO_CHANGE = -1 };

static long own_keyring(int special)
{
	long serial = syscall(SYS_keyctl, GET_KEYRING_ID, special, 0);

	return serial == -1 && errno == ENOKEY ? 0 : serial;
}

int native_new_keyring(void)
{
	if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) != -1)
		return 1;
	return is_refused(errno) ? 0 : -1;
}

PyObject *native_join_keyring(PyObject *module, PyObject *unused)
{
	long thread, process, request;
	int joined = native_new_keyring();

	(void)module;
	(void)unused;
	if (joined == 0)
		Py_RETURN_NONE;
	if (joined < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	thread = own_keyring(THREAD_KEYRING);
	process = thread == -1 ? -1 : own_keyring(PROCESS_KEYRING);
	request = process == -1 ? -1 : syscall(SYS_keyctl, SET_REQKEY_KEYRING, NO_CHANGE);
	if (request == -1)
		return PyErr_SetFromErrno(PyExc_OSError);
	return Py_BuildValue("lll", thread, process, request);
}
