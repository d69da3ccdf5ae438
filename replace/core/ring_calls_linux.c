/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The steps of each request. To open a file or to read its status, the kernel opens the whole path
 * with openat2(2). For the other calls it opens the folder of the last name in this way, and then
 * works with the name in this folder: mkdirat(2) and its relatives cannot restrict where a path
 * leads.
 *
 * The calling thread is that of an event loop, so it must never wait for a file system. A user may
 * have mounted one whose server does not answer (FUSE). So a path is first opened with
 * RESOLVE_CACHED and RESOLVE_NO_XDEV, and only if it begins on a file system that has no server:
 * then the kernel opens it at once or refuses. If it refuses, a worker of the kernel does the step.
 * A worker also does everything else that may block: creating, renaming, reading the status of
 * files on other file systems, and closing such files. What remains: a FIFO whose lock a process
 * keeps that writes from memory of a FUSE file. Source: fifo_open() in fs/pipe.c.
 *
 * ring_internal.h explains the functions. Source: io_openat2() in io_uring/openclose.c, openat2(2),
 * statx(2), statmount(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "ring_internal.h"

#ifndef SYS_statmount
#define SYS_statmount 457 /* alpha has another number; there, this call fails */
#endif

enum {
	ERESTARTSYS = 512, /* linux/errno.h: the kernel was interrupted */
	DONT_SYNC = 0x4000,
	TYPE = 0x1,
	BASIC_STATS = 0x7ff,
	MNT_ID_UNIQUE = 0x4000,
	SB_BASIC = 0x1,
	KCMP_FILE = 0, /* linux/kcmp.h */
	MOST_COMPARED = 16
};

/* ---- Which file systems never wait for a server */

static int look(int fd, const char *path, unsigned mask, struct libreplace_ring_statx *found)
{
	return (int)syscall(SYS_statx, fd, path, AT_EMPTY_PATH | DONT_SYNC | AT_NO_AUTOMOUNT, mask,
	                    found);
}

/* Find out whether a mount is local. Its id is one that no later mount gets. Opening a file of an
 * overlay for writing copies the file from a lower layer, which takes seconds for a large one.
 * Source: linux/magic.h, ovl_open() in fs/overlayfs/file.c. */
static enum libreplace_ring_kind_of_mount kind_of_mount(uint64_t id, uint32_t dev_major)
{
	static const uint64_t without_server[] = {0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */,
	                                          0x9123683e /* btrfs */, 0x2fc12fc1 /* zfs */,
	                                          0xca451a4e /* bcachefs */};
	static const uint64_t overlay = 0x794c7630;
	static const uint64_t fuse = 0x65735546; /* with a block device: fuseblk */
	struct {
		uint32_t size, spare;
		uint64_t id, param;
	} request = {sizeof request, 0, id, SB_BASIC};
	uint64_t answer[64] = {0}; /* struct statmount; the fourth number is sb_magic */

	if (syscall(SYS_statmount, &request, answer, sizeof answer, 0) != 0)
		return LIBREPLACE_RING_HAS_SERVER;
	if (answer[3] == overlay)
		return LIBREPLACE_RING_COPIES;
	for (size_t i = 0; i < sizeof without_server / sizeof *without_server; i++)
		if (answer[3] == without_server[i])
			return LIBREPLACE_RING_IS_LOCAL;
	return dev_major != 0 && answer[3] != fuse ? LIBREPLACE_RING_IS_LOCAL
	                                           : LIBREPLACE_RING_HAS_SERVER;
}

/* Find out whether the folder where a path begins is on a file system without a server. Before
 * Linux 6.8, only a block device proves it: a mount's id may be used again. */
static enum libreplace_ring_kind_of_mount kind_of(struct libreplace_ring_mounts *mounts, int fd,
                                                  const char *path)
{
	struct libreplace_ring_statx found;
	unsigned place;

	if (look(fd, path, TYPE | MNT_ID_UNIQUE, &found) != 0)
		return LIBREPLACE_RING_HAS_SERVER;
	if (!(found.mask & MNT_ID_UNIQUE))
		return found.dev_major != 0 ? LIBREPLACE_RING_IS_LOCAL : LIBREPLACE_RING_HAS_SERVER;
	for (unsigned i = 0; i < LIBREPLACE_RING_MOUNTS; i++)
		if (mounts->id[i] == found.mnt_id)
			return mounts->kind[i];
	place = mounts->next++ % LIBREPLACE_RING_MOUNTS;
	mounts->kind[place] = kind_of_mount(found.mnt_id, found.dev_major);
	mounts->id[place] = found.mnt_id;
	return mounts->kind[place];
}

/* ---- The parts of a path */

/* Copy @path to *@to, and its parent after it if there is one. The name begins after the last slash
 * that another character follows. Slashes at the end belong to the name: they demand a folder. */
static void split(const char *path, char **to, const char **parent, const char **name)
{
	size_t size = strlen(path), end = size;
	char *copy = memcpy(*to, path, size + 1);

	*to += size + 1;
	*parent = NULL;
	*name = copy;
	while (end > 0 && copy[end - 1] == '/')
		end--;
	while (end > 0 && copy[end - 1] != '/')
		end--;
	if (end == 0 && copy[0] != '/')
		return;
	if (end == 0) { /* only slashes */
		end = size;
		*name = ".";
	} else {
		*name = copy + end;
	}
	*parent = memcpy(*to, path, end);
	(*to)[end] = '\0';
	*to += end + 1;
}

static int needs_two_folders(int kind)
{
	return kind == LIBREPLACE_RING_RENAME || kind == LIBREPLACE_RING_LINK;
}

static int needs_new_path(int kind)
{
	return needs_two_folders(kind) || kind == LIBREPLACE_RING_SYMLINK;
}

static int is_valid(const struct libreplace_ring_call *call)
{
	int known = call->kind == LIBREPLACE_RING_OPEN   ? -1
	            : call->kind == LIBREPLACE_RING_STAT ? AT_SYMLINK_NOFOLLOW
	                                                 : 0;

	return call->kind >= LIBREPLACE_RING_OPEN && call->kind <= LIBREPLACE_RING_SYMLINK &&
	       (call->flags & ~known) == 0 && call->path != NULL &&
	       (call->new_path != NULL || !needs_new_path(call->kind));
}

struct libreplace_ring_request *libreplace_ring_copy(const struct libreplace_ring_call *call)
{
	struct libreplace_ring_request *request;
	size_t size;
	char *text;

	if (!is_valid(call)) {
		errno = EINVAL;
		return NULL;
	}
	size = 2 * strlen(call->path) + 2;
	if (needs_new_path(call->kind))
		size += 2 * strlen(call->new_path) + 2;
	request = malloc(sizeof *request + size);
	if (request == NULL)
		return NULL;
	memset(request, 0, offsetof(struct libreplace_ring_request, found));
	request->call = *call;
	request->file = request->folder = request->new_folder = -1;
	text = request->text;
	if (call->kind == LIBREPLACE_RING_OPEN || call->kind == LIBREPLACE_RING_STAT)
		request->name = strcpy(text, call->path);
	else
		split(call->path, &text, &request->parent, &request->name);
	if (call->kind == LIBREPLACE_RING_SYMLINK)
		request->new_name = strcpy(text, call->new_path);
	else if (needs_new_path(call->kind))
		split(call->new_path, &text, &request->new_parent, &request->new_name);
	libreplace_list_init(&request->link);
	libreplace_list_init(&request->all);
	libreplace_list_init(&request->cancel);
	return request;
}

/* ---- The steps */

/* Whether the calling thread may try to open a path. */
static int may_try(struct libreplace_ring_mounts *mounts, const struct libreplace_ring_call *call,
                   int dir_fd, const char *path)
{
	const uint64_t scoped = LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_IN_ROOT;
	int from_root = path[0] == '/' && (call->resolve & scoped) == 0;
	int writes = call->kind == LIBREPLACE_RING_OPEN && (call->flags & O_ACCMODE) != O_RDONLY;
	enum libreplace_ring_kind_of_mount kind =
	    kind_of(mounts, from_root ? AT_FDCWD : dir_fd, from_root ? "/" : "");

	return kind == LIBREPLACE_RING_IS_LOCAL || (kind == LIBREPLACE_RING_COPIES && !writes);
}

/* The flags with which the kernel's io_openat2() always needs a worker. */
static int creates(const struct libreplace_ring_call *call)
{
	return call->kind == LIBREPLACE_RING_OPEN &&
	       ((call->flags & (O_CREAT | O_TRUNC)) != 0 || (call->flags & O_TMPFILE) == O_TMPFILE);
}

/* ---- Folders of requests that wait */

/* Whether two descriptors are of the same open file. Source: kcmp(2). */
static int is_same_file(int fd, int other)
{
	pid_t process = getpid();

	return syscall(SYS_kcmp, process, process, KCMP_FILE, fd, other) == 0;
}

/* Find a copy that other requests hold. Without one copy for all, a user's requests that wait would
 * need all descriptors of the server. */
static struct libreplace_ring_folder *find_folder(struct libreplace_ring_mounts *mounts, int fd)
{
	struct libreplace_link *link = mounts->folders.previous; /* the newest one */

	for (int i = 0; i < MOST_COMPARED && link != &mounts->folders; i++) {
		struct libreplace_ring_folder *folder = (void *)link;

		if (is_same_file(fd, folder->fd))
			return folder;
		link = link->previous;
	}
	return NULL;
}

/* Return: 0, or the errno. */
static int copy_folder(struct libreplace_ring_mounts *mounts, int fd,
                       struct libreplace_ring_folder **copy)
{
	struct libreplace_ring_folder *folder = malloc(sizeof *folder);
	int error;

	if (folder == NULL)
		return ENOMEM;
	folder->requests = 0;
	folder->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (folder->fd < 0) {
		error = errno;
		free(folder);
		return error;
	}
	libreplace_list_init(&folder->link);
	libreplace_list_append(&mounts->folders, &folder->link);
	*copy = folder;
	return 0;
}

/* Copy a descriptor of the call. A wrong one is left to the kernel, which may not need it. Return:
 * 0, or the errno. */
static int hold(struct libreplace_ring_mounts *mounts, int *fd,
                struct libreplace_ring_folder **held)
{
	struct libreplace_ring_folder *folder;
	int error = 0;

	if (*held != NULL || *fd == AT_FDCWD)
		return 0;
	folder = find_folder(mounts, *fd);
	if (folder == NULL)
		error = copy_folder(mounts, *fd, &folder);
	if (error != 0)
		return error == EBADF ? 0 : error;
	folder->requests++;
	*held = folder;
	*fd = folder->fd;
	return 0;
}

static void let_go(struct libreplace_ring_folder **held)
{
	struct libreplace_ring_folder *folder = *held;

	*held = NULL;
	if (folder == NULL || --folder->requests > 0)
		return;
	libreplace_list_remove(&folder->link);
	close(folder->fd);
	free(folder);
}

/* A step that waits begins when the caller may have closed the folder's descriptor, and its number
 * may be that of another folder. */
static void hold_folders(struct libreplace_ring_mounts *mounts,
                         struct libreplace_ring_request *request)
{
	int error = hold(mounts, &request->call.dir_fd, &request->held);

	if (error == 0 && needs_two_folders(request->call.kind))
		error = hold(mounts, &request->call.new_dir_fd, &request->new_held);
	if (error != 0)
		libreplace_ring_give_up(request, error);
}

static void go_to(struct libreplace_ring_mounts *mounts, struct libreplace_ring_request *request,
                  enum libreplace_ring_step step)
{
	const struct libreplace_ring_call *call = &request->call;

	request->step = step;
	request->retries = 0;
	request->needs_worker = 1;
	if (step == LIBREPLACE_RING_OPENS_FOLDER)
		request->needs_worker = !may_try(mounts, call, call->dir_fd, request->parent);
	else if (step == LIBREPLACE_RING_OPENS_NEW_FOLDER)
		request->needs_worker =
		    !may_try(mounts, call, call->new_dir_fd, request->new_parent);
	else if (step == LIBREPLACE_RING_OPENS_FILE)
		request->needs_worker =
		    creates(call) || !may_try(mounts, call, call->dir_fd, request->name);
	if (request->needs_worker && step != LIBREPLACE_RING_READS_STATUS)
		hold_folders(mounts, request);
}

static void go_to_call(struct libreplace_ring_mounts *mounts,
                       struct libreplace_ring_request *request)
{
	if (request->parent != NULL && request->folder < 0)
		go_to(mounts, request, LIBREPLACE_RING_OPENS_FOLDER);
	else if (request->new_parent != NULL && request->new_folder < 0)
		go_to(mounts, request, LIBREPLACE_RING_OPENS_NEW_FOLDER);
	else
		go_to(mounts, request, LIBREPLACE_RING_CALLS);
}

void libreplace_ring_begin(struct libreplace_ring_mounts *mounts,
                           struct libreplace_ring_request *request, int waits)
{
	if (request->call.kind == LIBREPLACE_RING_OPEN ||
	    request->call.kind == LIBREPLACE_RING_STAT)
		go_to(mounts, request, LIBREPLACE_RING_OPENS_FILE);
	else
		go_to_call(mounts, request);
	if (waits && request->step != LIBREPLACE_RING_IS_DONE)
		hold_folders(mounts, request);
}

static uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

static void fill_open(struct libreplace_ring_request *request, struct libreplace_sqe *sqe,
                      int dir_fd, const char *path, struct libreplace_how how)
{
	if (!request->needs_worker)
		how.resolve |= LIBREPLACE_RESOLVE_CACHED | LIBREPLACE_RESOLVE_NO_XDEV;
	request->how = how;
	sqe->opcode = LIBREPLACE_OP_OPENAT2;
	sqe->fd = dir_fd;
	sqe->addr = address(path);
	sqe->len = sizeof request->how;
	sqe->off = address(&request->how);
}

static void fill_call(struct libreplace_ring_request *request, struct libreplace_sqe *sqe)
{
	const struct libreplace_ring_call *call = &request->call;
	int folder = request->parent != NULL ? request->folder : call->dir_fd;
	int new_folder = request->new_parent != NULL ? request->new_folder : call->new_dir_fd;

	sqe->fd = folder;
	sqe->addr = address(request->name);
	switch (call->kind) {
	case LIBREPLACE_RING_MKDIR:
		sqe->opcode = LIBREPLACE_OP_MKDIRAT;
		sqe->len = call->mode;
		break;
	case LIBREPLACE_RING_UNLINK:
		sqe->opcode = LIBREPLACE_OP_UNLINKAT;
		break;
	case LIBREPLACE_RING_SYMLINK: /* the text of the link comes first */
		sqe->opcode = LIBREPLACE_OP_SYMLINKAT;
		sqe->addr = address(request->new_name);
		sqe->off = address(request->name);
		break;
	default:
		sqe->opcode = call->kind == LIBREPLACE_RING_LINK ? LIBREPLACE_OP_LINKAT
		                                                 : LIBREPLACE_OP_RENAMEAT;
		sqe->len = (uint32_t)new_folder;
		sqe->off = address(request->new_name);
	}
}

void libreplace_ring_fill(struct libreplace_ring_request *request, struct libreplace_sqe *sqe)
{
	const struct libreplace_ring_call *call = &request->call;
	struct libreplace_how folder = {O_PATH | O_DIRECTORY | O_CLOEXEC, 0, call->resolve};
	struct libreplace_how file = {O_PATH | O_CLOEXEC, 0, call->resolve};

	memset(sqe, 0, sizeof *sqe);
	sqe->flags = request->needs_worker ? LIBREPLACE_SQE_ASYNC : 0;
	sqe->user_data = address(request);
	sqe->personality = (uint16_t)request->user->personality;
	switch (request->step) {
	case LIBREPLACE_RING_OPENS_FOLDER:
		fill_open(request, sqe, call->dir_fd, request->parent, folder);
		break;
	case LIBREPLACE_RING_OPENS_NEW_FOLDER:
		fill_open(request, sqe, call->new_dir_fd, request->new_parent, folder);
		break;
	case LIBREPLACE_RING_OPENS_FILE:
		if (call->kind == LIBREPLACE_RING_OPEN)
			file = libreplace_how_to_open(call->flags, call->mode, call->resolve,
			                              request->needs_worker);
		else if (call->flags & AT_SYMLINK_NOFOLLOW)
			file.flags |= O_NOFOLLOW;
		fill_open(request, sqe, call->dir_fd, request->name, file);
		break;
	case LIBREPLACE_RING_READS_STATUS:
		sqe->opcode = LIBREPLACE_OP_STATX;
		sqe->fd = request->file;
		sqe->addr = address("");
		sqe->len = BASIC_STATS;
		sqe->off = address(&request->found);
		sqe->op_flags = AT_EMPTY_PATH;
		break;
	case LIBREPLACE_RING_CLOSES:
		sqe->opcode = LIBREPLACE_OP_CLOSE;
		sqe->fd = request->file;
		break;
	default:
		fill_call(request, sqe);
	}
}

/* ---- The results of the steps */

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Closing a descriptor that was opened with O_PATH never blocks. */
static void finish(struct libreplace_ring_request *request, int value)
{
	request->value = value;
	request->step = LIBREPLACE_RING_IS_DONE;
	close_if_open(&request->file);
	close_if_open(&request->folder);
	close_if_open(&request->new_folder);
	let_go(&request->held);
	let_go(&request->new_held);
}

static void finish_with_file(struct libreplace_ring_request *request)
{
	int file = request->file;

	request->file = -1;
	finish(request, file);
}

void libreplace_ring_give_up(struct libreplace_ring_request *request, int error)
{
	int may_block = request->by_worker && request->call.kind == LIBREPLACE_RING_OPEN;

	if (request->file < 0 || !may_block) {
		finish(request, -error);
		return;
	}
	request->value = -error;
	request->step = LIBREPLACE_RING_CLOSES;
	request->needs_worker = 1;
}

static void copy_status(const struct libreplace_ring_statx *from, struct libreplace_ring_status *to)
{
	to->dev = makedev(from->dev_major, from->dev_minor);
	to->ino = from->ino;
	to->nlink = from->nlink;
	to->rdev = makedev(from->rdev_major, from->rdev_minor);
	to->size = from->size;
	to->blksize = from->blksize;
	to->blocks = from->blocks;
	to->atime = from->atime.sec;
	to->mtime = from->mtime.sec;
	to->ctime = from->ctime.sec;
	to->atime_nsec = from->atime.nsec;
	to->mtime_nsec = from->mtime.nsec;
	to->ctime_nsec = from->ctime.nsec;
	to->mode = from->mode;
	to->uid = from->uid;
	to->gid = from->gid;
}

/* Read the status of a file that is open, without asking a server. Return: 0, or the errno. */
static int status_of(struct libreplace_ring_request *request, int fd, unsigned mask)
{
	return look(fd, "", mask, &request->found) == 0 ? 0 : errno;
}

static void opened_by_worker(struct libreplace_ring_mounts *mounts,
                             struct libreplace_ring_request *request)
{
	int is_open = request->call.kind == LIBREPLACE_RING_OPEN, flags = request->call.flags;
	int error = status_of(request, request->file, TYPE);

	if (error == 0 && is_open)
		error = libreplace_file_refusal(request->found.mode, flags);
	if (error == 0 && is_open)
		error = libreplace_block_again(request->file, flags);
	if (error != 0)
		libreplace_ring_give_up(request, error);
	else if (is_open)
		finish_with_file(request);
	else
		go_to(mounts, request, LIBREPLACE_RING_READS_STATUS);
}

/* The file system has no server. The kernel itself has opened the file without waiting, and needed
 * no O_NONBLOCK for it. */
static void opened_at_once(struct libreplace_ring_request *request)
{
	int is_open = request->call.kind == LIBREPLACE_RING_OPEN;
	int error = status_of(request, request->file, is_open ? TYPE : BASIC_STATS);

	if (error == 0 && is_open)
		error = libreplace_file_refusal(request->found.mode, request->call.flags);
	if (error == 0 && !is_open)
		copy_status(&request->found, &request->status);
	if (error == 0 && is_open)
		finish_with_file(request);
	else
		finish(request, -error);
}

/* Whether a failed step is to be done again. */
static int is_to_repeat(struct libreplace_ring_request *request, int result)
{
	if (!request->needs_worker) /* a signal interrupts only the calling thread, not a worker */
		return result == -EAGAIN || result == -EXDEV || result == -EINTR ||
		       result == -ERESTARTSYS;
	return result == -EAGAIN && request->step <= LIBREPLACE_RING_OPENS_FILE &&
	       request->retries++ < LIBREPLACE_OPEN_RETRIES;
}

/* The kernel has opened a folder. The calling thread must be able to see it, too: a user's own file
 * system (FUSE) may refuse everybody else, also the threads of a server without a ring. */
static void opened_folder(struct libreplace_ring_mounts *mounts,
                          struct libreplace_ring_request *request)
{
	int *folder =
	    request->step == LIBREPLACE_RING_OPENS_FOLDER ? &request->folder : &request->new_folder;
	int error = request->needs_worker ? status_of(request, *folder, TYPE) : 0;

	if (error != 0)
		libreplace_ring_give_up(request, error);
	else
		go_to_call(mounts, request);
}

/* Keep the descriptor that a step has opened. */
static void keep(struct libreplace_ring_request *request, int fd)
{
	if (request->step == LIBREPLACE_RING_OPENS_FOLDER)
		request->folder = fd;
	else if (request->step == LIBREPLACE_RING_OPENS_NEW_FOLDER)
		request->new_folder = fd;
	else if (request->step == LIBREPLACE_RING_OPENS_FILE) {
		request->file = fd;
		request->by_worker = request->needs_worker;
	}
}

static void succeeded(struct libreplace_ring_mounts *mounts,
                      struct libreplace_ring_request *request)
{
	switch (request->step) {
	case LIBREPLACE_RING_OPENS_FOLDER:
	case LIBREPLACE_RING_OPENS_NEW_FOLDER:
		opened_folder(mounts, request);
		break;
	case LIBREPLACE_RING_OPENS_FILE:
		if (request->by_worker)
			opened_by_worker(mounts, request);
		else
			opened_at_once(request);
		break;
	case LIBREPLACE_RING_READS_STATUS:
		copy_status(&request->found, &request->status);
		finish(request, 0);
		break;
	default:
		finish(request, 0);
	}
}

void libreplace_ring_advance(struct libreplace_ring_mounts *mounts,
                             struct libreplace_ring_request *request, int result)
{
	if (request->step == LIBREPLACE_RING_CLOSES) {
		if (result != -ECANCELED)
			request->file = -1;
		finish(request, request->value);
		return;
	}
	if (result >= 0)
		keep(request, result);
	if (request->is_cancelled)
		libreplace_ring_give_up(request, ECANCELED);
	else if (result >= 0)
		succeeded(mounts, request);
	else if (is_to_repeat(request, result)) {
		request->needs_worker = 1;
		hold_folders(mounts, request);
	} else if (result == -ECANCELED)
		libreplace_ring_give_up(request, EAGAIN); /* the kernel could not make a worker */
	else
		libreplace_ring_give_up(request, -result);
}
