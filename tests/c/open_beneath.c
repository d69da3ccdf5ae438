/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests libreplace_open_beneath() on real files: which files it opens, with which flags, which
 * files it refuses, and that a refusal leaves no open descriptor. Each case runs in a forked child,
 * as root, on Linux.
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

static int open_regular(const char *name, int flags)
{
	return libreplace_open_beneath(folder, name, flags, 0600, SAFE, 1);
}

static int open_any(const char *name, int flags)
{
	return libreplace_open_beneath(folder, name, flags, 0600, SAFE, 0);
}

/* Return the lowest free descriptor. It rises if a descriptor is left open. */
static int lowest_free(void)
{
	int fd = dup(folder);

	MUST(fd >= 0 && close(fd) == 0);
	return fd;
}

/* Check that the call fails with this error and leaves no open descriptor. */
#define REFUSED(call, error)                                                                       \
	do {                                                                                       \
		int free_before = lowest_free();                                                   \
                                                                                                   \
		errno = 0;                                                                         \
		MUST((call) == -1);                                                                \
		MUST(errno == (error));                                                            \
		MUST(lowest_free() == free_before);                                                \
	} while (0)

/* Check the flags of a descriptor, and that exec closes it. Then close it. */
static void must_have(int fd, int flags)
{
	int all = O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH | O_DIRECTORY | O_NOFOLLOW;

	MUST(fd >= 0);
	MUST((fcntl(fd, F_GETFL) & all) == flags);
	MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
}

static void regular_file_has_the_requested_flags(void)
{
	must_have(open_regular("file", O_RDONLY), O_RDONLY);
	must_have(open_regular("file", O_WRONLY | O_TRUNC), O_WRONLY);
	must_have(open_regular("link", O_RDWR | O_APPEND), O_RDWR | O_APPEND);
	must_have(open_regular("dir/../file", O_RDONLY | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	must_have(open_any("file", O_RDONLY), O_RDONLY);
	must_have(open_any("file", O_RDONLY | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	must_have(open_regular("file", O_PATH), O_PATH);
	must_have(open_any("file", O_PATH), O_PATH);
}

/* An error of an earlier call is no error of this one. */
static void errno_from_before_does_not_matter(void)
{
	static const int errors[] = {EAGAIN, EPERM, 0};
	int unused = lowest_free();

	for (int i = 0; i < 3; i++) {
		errno = errors[i];
		MUST(open_regular("file", O_RDONLY) == unused && errno == errors[i]);
		MUST(close(unused) == 0 && lowest_free() == unused);
	}
}

static void path_that_leads_out_is_refused(void)
{
	static const char *const names[] = {"..", "dir/../..", "/", "/etc/passwd", "out", "root"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		REFUSED(open_regular(names[i], O_RDONLY), EXDEV);
		REFUSED(open_regular(names[i], O_PATH | O_DIRECTORY), EXDEV);
		REFUSED(open_any(names[i], O_RDONLY), EXDEV);
	}
	REFUSED(open_regular("", O_RDONLY), ENOENT);
	REFUSED(open_regular("nothing", O_RDONLY), ENOENT);
}

static void magic_link_is_refused(void)
{
	int secret, proc;
	char name[64];

	needs_proc();
	secret = open("/proc/self/status", O_RDONLY);
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	MUST(secret >= 0 && proc >= 0);
	snprintf(name, sizeof name, "%d/fd/%d", (int)getpid(), secret);
	must_have(libreplace_open_beneath(proc, name, O_RDONLY, 0, 0, 1),
	          O_RDONLY); /* like open() */
	REFUSED(libreplace_open_beneath(proc, name, O_RDONLY, 0, SAFE, 1), ELOOP);
	REFUSED(libreplace_open_beneath(proc, name, O_RDONLY, 0, LIBREPLACE_RESOLVE_BENEATH, 1),
	        EXDEV);
}

static void resolve_flags_are_the_kernels(void)
{
	int resolve = LIBREPLACE_RESOLVE_IN_ROOT;

	must_have(libreplace_open_beneath(folder, "/out/file", O_RDONLY, 0, resolve, 1), O_RDONLY);
	resolve |= LIBREPLACE_RESOLVE_NO_SYMLINKS;
	REFUSED(libreplace_open_beneath(folder, "/out/file", O_RDONLY, 0, resolve, 1), ELOOP);
	resolve |= LIBREPLACE_RESOLVE_BENEATH;
	REFUSED(libreplace_open_beneath(folder, "file", O_RDONLY, 0, resolve, 1), EINVAL);
	REFUSED(libreplace_open_beneath(folder, "file", O_RDONLY, 0, 1ULL << 40, 1), EINVAL);
	resolve = LIBREPLACE_RESOLVE_NO_XDEV;
	REFUSED(libreplace_open_beneath(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, resolve, 1),
	        EXDEV);
}

static void unknown_flags_are_refused(void)
{
	uint64_t how[3] = {O_RDONLY | 1 << 30, 0, 0}; /* struct open_how */

	if (syscall(SYS_openat2, folder, "file", how, sizeof how) != -1)
		skip("needs ", "a kernel that refuses unknown flags; an emulator removes them");
	REFUSED(open_regular("file", O_RDONLY | 1 << 30), EINVAL);
	REFUSED(open_regular("file", INT32_MIN), EINVAL);
}

static void folder_descriptor_is_checked(void)
{
	REFUSED(libreplace_open_beneath(-1, "file", O_RDONLY, 0, SAFE, 1), EBADF);
	REFUSED(libreplace_open_beneath(999, "file", O_RDONLY, 0, SAFE, 1), EBADF);
	MUST(fchdir(folder) == 0);
	must_have(libreplace_open_beneath(AT_FDCWD, "file", O_RDONLY, 0, SAFE, 1), O_RDONLY);
	REFUSED(libreplace_open_beneath(AT_FDCWD, place, O_RDONLY, 0, SAFE, 1), EXDEV);
}

static void other_kinds_are_refused(void)
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
				REFUSED(open_regular(names[i], ways[j]), ENXIO);
	must_have(open_any("fifo", O_RDWR), O_RDWR);        /* O_RDWR opens both ends */
	MUST(open_any("fifo", O_RDONLY | O_NONBLOCK) >= 0); /* the FIFO has a reader now */
	REFUSED(open_regular("fifo", O_WRONLY), ENXIO);
	must_have(open_any("fifo", O_PATH), O_PATH);
	REFUSED(open_regular("link", O_PATH | O_NOFOLLOW), ELOOP);
	REFUSED(open_regular("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	must_have(open_any("link", O_PATH | O_NOFOLLOW), O_PATH | O_NOFOLLOW);
}

static void folder_needs_o_directory(void)
{
	REFUSED(open_regular("dir", O_RDONLY), EISDIR);
	REFUSED(open_regular("dir", O_PATH), EISDIR);
	REFUSED(open_regular("dir", O_WRONLY), EISDIR);
	must_have(open_regular("dir", O_RDONLY | O_DIRECTORY), O_RDONLY | O_DIRECTORY);
	must_have(open_regular("dir", O_PATH | O_DIRECTORY), O_PATH | O_DIRECTORY);
	must_have(open_any("dir", O_RDONLY), O_RDONLY);
	REFUSED(open_regular("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	REFUSED(open_regular("fifo", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static mode_t mode_of(int fd)
{
	struct stat found;

	MUST(fd >= 0 && fstat(fd, &found) == 0 && close(fd) == 0);
	return found.st_mode;
}

static int create(const char *name, int flags, mode_t mode)
{
	return libreplace_open_beneath(folder, name, O_WRONLY | flags, mode, SAFE, 1);
}

static void new_file_has_the_mode(void)
{
	int fd;

	umask(027);
	MUST(mode_of(create("new", O_CREAT | O_EXCL, 0666)) == (S_IFREG | 0640));
	REFUSED(create("new", O_CREAT | O_EXCL, 0600), EEXIST);
	REFUSED(create("link", O_CREAT | O_EXCL, 0600), EEXIST);
	REFUSED(create("out/new", O_CREAT, 0600), EXDEV);
	REFUSED(create("newer", O_CREAT, 0100000 | 0600), EINVAL);
	MUST(mode_of(create("new", 0, 07777)) == (S_IFREG | 0640));
	umask(0);
	fd = create(".", O_TMPFILE, 0604);
	if (fd < 0) {
		MUST(errno == EOPNOTSUPP); /* not supported here */
		return;
	}
	MUST((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	MUST(mode_of(fd) == (S_IFREG | 0604));
}

static int leased, breaks;

static void give_up(int number)
{
	(void)number;
	breaks++;
	MUST(fcntl(leased, F_SETLEASE, F_UNLCK) == 0);
}

static void keep(int number)
{
	(void)number;
	breaks++;
}

static void lease_is_not_waited_for(void)
{
	leased = openat(folder, "file", O_RDWR | O_CLOEXEC);
	MUST(leased >= 0);
	signal(SIGIO, keep);
	if (fcntl(leased, F_SETLEASE, F_WRLCK) != 0)
		return; /* not supported here */
	REFUSED(open_regular("file", O_RDONLY), EAGAIN);
	MUST(breaks == 1 && fcntl(leased, F_SETLEASE, F_UNLCK) == 0);
	signal(SIGIO, give_up);
	MUST(fcntl(leased, F_SETLEASE, F_WRLCK) == 0);
	must_have(open_regular("file", O_RDONLY),
	          O_RDONLY); /* the first attempt breaks the lease */
	MUST(breaks == 2);
}

/* struct sock_filter of seccomp(2); musl-gcc comes without the kernel's headers. */
struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t value;
};

/* Install a filter that makes these calls fail; -1 ends the list. Return: whether it is installed.
 */
static int install_filter(const int *calls, int error)
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

static void eperm_of_a_filter_becomes_enosys(void)
{
	if (install_filter(only_openat2, EPERM))
		REFUSED(open_regular("file", O_RDONLY), ENOSYS);
}

static void enosys_of_a_filter_stays(void)
{
	if (install_filter(only_openat2, ENOSYS))
		REFUSED(open_regular("file", O_RDONLY), ENOSYS);
}

static void eperm_of_the_kernel_stays(void)
{
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	REFUSED(open_regular("file", O_RDONLY | O_NOATIME), EPERM);
}

static void failed_fstat_closes_the_file(void)
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

	if (install_filter(calls, EIO)) {
		REFUSED(open_regular("file", O_RDONLY), EIO);
		must_have(open_any("file", O_RDONLY), O_RDONLY);
	}
}

static void failed_fcntl_closes_the_file(void)
{
	static const int calls[] = {
#ifdef SYS_fcntl64
	    SYS_fcntl64,
#endif
#ifdef SYS_fcntl
	    SYS_fcntl,
#endif
	    -1};

	if (install_filter(calls, EIO)) {
		REFUSED(open_regular("file", O_RDONLY), EIO);
		MUST(close(open_regular("file", O_RDONLY | O_NONBLOCK)) == 0);
		MUST(close(open_regular("file", O_PATH)) == 0);
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
		MUST(errno == EPERM); /* not allowed in this container */
}

int main(void)
{
	static const char *const names[] = {"file", "link", "out",    "root",
	                                    "fifo", "null", "socket", "new"};
	int failed = 0, fd;

	needs_root();
	needs_tmp();
	make_files();
	fd = open_regular("file", O_RDONLY);
	if (fd >= 0 || errno != ENOSYS) {
		close(fd);
		RUN(regular_file_has_the_requested_flags);
		RUN(errno_from_before_does_not_matter);
		RUN(path_that_leads_out_is_refused);
		RUN(magic_link_is_refused);
		RUN(resolve_flags_are_the_kernels);
		RUN(unknown_flags_are_refused);
		RUN(folder_descriptor_is_checked);
		RUN(other_kinds_are_refused);
		RUN(folder_needs_o_directory);
		RUN(new_file_has_the_mode);
		RUN(lease_is_not_waited_for);
		RUN(eperm_of_a_filter_becomes_enosys);
		RUN(enosys_of_a_filter_stays);
		RUN(eperm_of_the_kernel_stays);
		RUN(failed_fstat_closes_the_file);
		RUN(failed_fcntl_closes_the_file);
	} else {
		puts("# skipped: needs openat2(2), since Linux 5.6");
		failed = 77;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(folder, names[i], 0);
	MUST(unlinkat(folder, "dir", AT_REMOVEDIR) == 0 && rmdir(place) == 0);
	return failed != 77 ? failed != 0 : 77;
}
