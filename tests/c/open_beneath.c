/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_open_beneath() on real files: what it opens and with which flags, what it refuses, and
 * that a refusal leaves no descriptor. Each case runs in a forked child; as root, on Linux.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "cases.h"

enum { SAFE = LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS };

static char place[] = "/tmp/libreplace-open-beneath-XXXXXX";
static int folder;

static int opened(const char *name, int flags)
{
	return libreplace_open_beneath(folder, name, flags, 0600, SAFE, 1);
}

static int anything(const char *name, int flags)
{
	return libreplace_open_beneath(folder, name, flags, 0600, SAFE, 0);
}

/* The lowest number that is free: it rises if a descriptor is left. */
static int lowest(void)
{
	int fd = dup(folder);

	MUST(fd >= 0 && close(fd) == 0);
	return fd;
}

/* Whether the call failed with this error and left no descriptor. */
#define REFUSED(call, error)                                                                       \
	do {                                                                                       \
		int free_before = lowest();                                                        \
                                                                                                   \
		errno = 0;                                                                         \
		MUST((call) == -1);                                                                \
		MUST(errno == (error));                                                            \
		MUST(lowest() == free_before);                                                     \
	} while (0)

/* Close a descriptor that has these flags of a file, and is closed by exec. */
static void has(int fd, int flags)
{
	int all = O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH | O_DIRECTORY | O_NOFOLLOW;

	MUST(fd >= 0);
	MUST((fcntl(fd, F_GETFL) & all) == flags);
	MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
}

static void a_regular_file_has_the_flags_that_were_asked_for(void)
{
	has(opened("file", O_RDONLY), O_RDONLY);
	has(opened("file", O_WRONLY | O_TRUNC), O_WRONLY);
	has(opened("link", O_RDWR | O_APPEND), O_RDWR | O_APPEND);
	has(opened("dir/../file", O_RDONLY | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	has(anything("file", O_RDONLY), O_RDONLY);
	has(anything("file", O_RDONLY | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	has(opened("file", O_PATH), O_PATH);
	has(anything("file", O_PATH), O_PATH);
}

static void a_name_that_leads_out(void)
{
	static const char *const names[] = {"..", "dir/../..", "/", "/etc/passwd", "out", "root"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		REFUSED(opened(names[i], O_RDONLY), EXDEV);
		REFUSED(opened(names[i], O_PATH | O_DIRECTORY), EXDEV);
		REFUSED(anything(names[i], O_RDONLY), EXDEV);
	}
	REFUSED(opened("", O_RDONLY), ENOENT);
	REFUSED(opened("nothing", O_RDONLY), ENOENT);
}

static void a_magic_link(void)
{
	int secret = open("/etc/passwd", O_RDONLY), proc = open("/proc", O_RDONLY | O_DIRECTORY);
	char name[64];

	MUST(secret >= 0);
	if (proc < 0)
		return;
	snprintf(name, sizeof name, "%d/fd/%d", (int)getpid(), secret);
	has(libreplace_open_beneath(proc, name, O_RDONLY, 0, 0, 1), O_RDONLY); /* as open() does */
	REFUSED(libreplace_open_beneath(proc, name, O_RDONLY, 0, SAFE, 1), ELOOP);
	REFUSED(libreplace_open_beneath(proc, name, O_RDONLY, 0, LIBREPLACE_RESOLVE_BENEATH, 1),
	        EXDEV);
}

static void resolve_is_the_kernels(void)
{
	int resolve = LIBREPLACE_RESOLVE_IN_ROOT;

	has(libreplace_open_beneath(folder, "/out/file", O_RDONLY, 0, resolve, 1), O_RDONLY);
	resolve |= LIBREPLACE_RESOLVE_NO_SYMLINKS;
	REFUSED(libreplace_open_beneath(folder, "/out/file", O_RDONLY, 0, resolve, 1), ELOOP);
	resolve |= LIBREPLACE_RESOLVE_BENEATH;
	REFUSED(libreplace_open_beneath(folder, "file", O_RDONLY, 0, resolve, 1), EINVAL);
	REFUSED(libreplace_open_beneath(folder, "file", O_RDONLY, 0, 1ULL << 40, 1), EINVAL);
	REFUSED(opened("file", O_RDONLY | 1 << 30), EINVAL);
	REFUSED(opened("file", INT32_MIN), EINVAL);
	resolve = LIBREPLACE_RESOLVE_NO_XDEV;
	REFUSED(libreplace_open_beneath(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, resolve, 1),
	        EXDEV);
}

static void the_folder(void)
{
	REFUSED(libreplace_open_beneath(-1, "file", O_RDONLY, 0, SAFE, 1), EBADF);
	REFUSED(libreplace_open_beneath(999, "file", O_RDONLY, 0, SAFE, 1), EBADF);
	MUST(fchdir(folder) == 0);
	has(libreplace_open_beneath(AT_FDCWD, "file", O_RDONLY, 0, SAFE, 1), O_RDONLY);
	REFUSED(libreplace_open_beneath(AT_FDCWD, place, O_RDONLY, 0, SAFE, 1), EXDEV);
}

static void what_is_not_regular(void)
{
	static const char *const names[] = {"fifo", "null", "socket"};
	static const int ways[] = {O_RDONLY,
	                           O_WRONLY,
	                           O_RDWR,
	                           O_PATH,
	                           O_RDONLY | O_NONBLOCK,
	                           O_WRONLY | O_CREAT | O_TRUNC};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t j = 0; j < sizeof ways / sizeof *ways; j++)
			if (faccessat(folder, names[i], F_OK, 0) == 0)
				REFUSED(opened(names[i], ways[j]), ENXIO);
	has(anything("fifo", O_RDWR), O_RDWR); /* without O_NONBLOCK; the other end is its own */
	MUST(anything("fifo", O_RDONLY | O_NONBLOCK) >= 0); /* from now on somebody reads */
	REFUSED(opened("fifo", O_WRONLY), ENXIO);
	has(anything("fifo", O_PATH), O_PATH);
	REFUSED(opened("link", O_PATH | O_NOFOLLOW), ELOOP);
	REFUSED(opened("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	has(anything("link", O_PATH | O_NOFOLLOW), O_PATH | O_NOFOLLOW);
}

static void a_folder(void)
{
	REFUSED(opened("dir", O_RDONLY), EISDIR);
	REFUSED(opened("dir", O_PATH), EISDIR);
	REFUSED(opened("dir", O_WRONLY), EISDIR);
	has(opened("dir", O_RDONLY | O_DIRECTORY), O_RDONLY | O_DIRECTORY);
	has(opened("dir", O_PATH | O_DIRECTORY), O_PATH | O_DIRECTORY);
	has(anything("dir", O_RDONLY), O_RDONLY);
	REFUSED(opened("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	REFUSED(opened("fifo", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static mode_t mode_of(int fd)
{
	struct stat found;

	MUST(fd >= 0 && fstat(fd, &found) == 0 && close(fd) == 0);
	return found.st_mode;
}

static int created(const char *name, int flags, mode_t mode)
{
	return libreplace_open_beneath(folder, name, O_WRONLY | flags, mode, SAFE, 1);
}

static void new_files(void)
{
	int fd;

	umask(027);
	MUST(mode_of(created("new", O_CREAT | O_EXCL, 0666)) == (S_IFREG | 0640));
	REFUSED(created("new", O_CREAT | O_EXCL, 0600), EEXIST);
	REFUSED(created("link", O_CREAT | O_EXCL, 0600), EEXIST);
	REFUSED(created("out/new", O_CREAT, 0600), EXDEV);
	REFUSED(created("newer", O_CREAT, 0100000 | 0600), EINVAL);
	MUST(mode_of(created("new", 0, 07777)) == (S_IFREG | 0640));
	umask(0);
	fd = created(".", O_TMPFILE, 0604);
	if (fd < 0) {
		MUST(errno == EOPNOTSUPP); /* the file system's */
		return;
	}
	MUST((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	MUST(mode_of(fd) == (S_IFREG | 0604));
}

static int leased, asked;

static void give_up(int number)
{
	(void)number;
	asked++;
	MUST(fcntl(leased, F_SETLEASE, F_UNLCK) == 0);
}

static void keep(int number)
{
	(void)number;
	asked++;
}

static void a_lease(void)
{
	leased = openat(folder, "file", O_RDWR | O_CLOEXEC);
	MUST(leased >= 0);
	signal(SIGIO, keep);
	if (fcntl(leased, F_SETLEASE, F_WRLCK) != 0)
		return; /* not on this file system */
	REFUSED(opened("file", O_RDONLY), EAGAIN);
	MUST(asked == 1 && fcntl(leased, F_SETLEASE, F_UNLCK) == 0);
	signal(SIGIO, give_up);
	MUST(fcntl(leased, F_SETLEASE, F_WRLCK) == 0);
	has(opened("file", O_RDONLY), O_RDONLY); /* the first attempt asked for it */
	MUST(asked == 2);
}

/* Of seccomp(2); musl-gcc comes without the kernel's headers. */
struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t value;
};

/* Install a filter that answers these calls, -1 at their end. Return: whether it is installed. */
static int answers(const int *calls, int error)
{
	struct instruction lines[16] = {{0x20, 0, 0, 0}}; /* load the number of the call */
	struct {
		unsigned short count;
		struct instruction *first;
	} program = {1, lines};

	for (; *calls >= 0; calls++) {
		lines[program.count++] = (struct instruction){0x15, 0, 1, (uint32_t)*calls};
		lines[program.count++] =
		    (struct instruction){0x06, 0, 0, 0x00050000U | (uint32_t)error};
	}
	lines[program.count++] = (struct instruction){0x06, 0, 0, 0x7fff0000U};
	MUST(program.count <= 16);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, 2, &program, 0, 0) == 0;
}

static const int only_openat2[] = {SYS_openat2, -1};

static void a_filter_that_says_eperm(void)
{
	if (answers(only_openat2, EPERM))
		REFUSED(opened("file", O_RDONLY), ENOSYS);
}

static void a_filter_that_says_enosys(void)
{
	if (answers(only_openat2, ENOSYS))
		REFUSED(opened("file", O_RDONLY), ENOSYS);
}

static void eperm_of_the_kernel(void)
{
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	REFUSED(opened("file", O_RDONLY | O_NOATIME), EPERM);
}

static void it_cannot_be_looked_at(void)
{
	static const int calls[] = {
#ifdef SYS_fstat
	    SYS_fstat,
#endif
#ifdef SYS_newfstatat
	    SYS_newfstatat,
#endif
#ifdef SYS_fstat64
	    SYS_fstat64,
#endif
#ifdef SYS_fstatat64
	    SYS_fstatat64,
#endif
	    SYS_statx,      -1};

	if (answers(calls, EIO)) {
		REFUSED(opened("file", O_RDONLY), EIO);
		has(anything("file", O_RDONLY), O_RDONLY);
	}
}

static void o_nonblock_stays(void)
{
	static const int calls[] = {
#ifdef SYS_fcntl64
	    SYS_fcntl64,
#endif
#ifdef SYS_fcntl
	    SYS_fcntl,
#endif
	    -1};

	if (answers(calls, EIO)) {
		REFUSED(opened("file", O_RDONLY), EIO);
		MUST(close(opened("file", O_RDONLY | O_NONBLOCK)) == 0);
		MUST(close(opened("file", O_PATH)) == 0);
	}
}

static void make_files(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made;

	MUST(mkdtemp(place) != NULL && chmod(place, 0777) == 0);
	folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(folder >= 0 && mkdirat(folder, "dir", 0755) == 0);
	made = openat(folder, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	MUST(made >= 0 && close(made) == 0);
	MUST(symlinkat("file", folder, "link") == 0 && symlinkat("..", folder, "out") == 0);
	MUST(symlinkat("/", folder, "root") == 0 && mkfifoat(folder, "fifo", 0666) == 0);
	made = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", place);
	MUST(bind(made, (struct sockaddr *)&address, sizeof address) == 0 && close(made) == 0);
	if (mknodat(folder, "null", S_IFCHR | 0666, 1 << 8 | 3) != 0)
		MUST(errno == EPERM); /* a container */
}

int main(void)
{
	static const char *const names[] = {"file", "link", "out",    "root",
	                                    "fifo", "null", "socket", "new"};
	int failed = 0, fd;

	if (geteuid() != 0)
		return 77;
	make_files();
	fd = opened("file", O_RDONLY);
	if (fd >= 0 || errno != ENOSYS) {
		close(fd);
		RUN(a_regular_file_has_the_flags_that_were_asked_for);
		RUN(a_name_that_leads_out);
		RUN(a_magic_link);
		RUN(resolve_is_the_kernels);
		RUN(the_folder);
		RUN(what_is_not_regular);
		RUN(a_folder);
		RUN(new_files);
		RUN(a_lease);
		RUN(a_filter_that_says_eperm);
		RUN(a_filter_that_says_enosys);
		RUN(eperm_of_the_kernel);
		RUN(it_cannot_be_looked_at);
		RUN(o_nonblock_stays);
	} else {
		failed = 77;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(folder, names[i], 0);
	MUST(unlinkat(folder, "dir", AT_REMOVEDIR) == 0 && rmdir(place) == 0);
	return failed != 77 ? failed != 0 : 77;
}
