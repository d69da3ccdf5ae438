/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads the threads of this process from /proc/self/task: a complete list, and the status of each.
 * If /proc belongs to another PID namespace than the process, the numbers in its names are those of
 * that namespace. So they are compared with nothing. The line NSpid of a status ends with the
 * number in the thread's own namespace, which gettid(2) returns. Only Linux has such files.
 * internal.h explains the functions. Source: proc_pid_status(5), proc_pid_stat(5), fs/proc/self.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "internal.h"

/* linux/magic.h; some C libraries come without the kernel's headers */
enum { PROC_MAGIC = 0x9fa0 };

/* Read a file of /proc whole. Return: 0, or errno. */
static int read_whole(int folder, const char *name, struct libreplace_proc_text *text)
{
	int file = openat(folder, name, O_RDONLY | O_CLOEXEC), error = 0;
	ssize_t got = 0;
	char *larger;

	if (file < 0)
		return errno;
	text->size = 0;
	do {
		text->size += got > 0 ? (size_t)got : 0;
		if (text->room - text->size < 1024) {
			larger = realloc(text->bytes, text->room * 2 + 4096);
			if (larger == NULL) {
				error = ENOMEM;
				break;
			}
			text->bytes = larger;
			text->room = text->room * 2 + 4096;
		}
		got = read(file, text->bytes + text->size, text->room - text->size - 1);
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		error = errno;
	close(file);
	if (error == 0)
		text->bytes[text->size] = '\0';
	return error;
}

/* The kernel escapes line breaks in the name of a thread, so only a line matches. */
const char *libreplace_proc_value_of(const struct libreplace_proc_text *status, const char *name)
{
	const char *found = strstr(status->bytes, name);

	return found == NULL ? NULL : found + strlen(name);
}

/* The number of a thread in its own PID namespace. Kernels before 4.1 do not show it; then it is
 * the number in the namespace of /proc. */
static pid_t number_of(const struct libreplace_proc_text *status, const char *name)
{
	const char *last = libreplace_proc_value_of(status, "\nNSpid:");
	char *end;
	long number = atol(name);

	for (; last != NULL; last = end) {
		long next = strtol(last, &end, 10);

		if (end == last || memchr(last, '\n', (size_t)(end - last)) != NULL)
			break;
		number = next;
	}
	return (pid_t)number;
}

/* Whether the value of a line has this many numbers and nothing else; -1 is any number of them. */
static int has_numbers(const char *value, int base, int count)
{
	char *end;

	if (value == NULL)
		return 0;
	for (int found = 0;; found++) {
		value += strspn(value, " \t");
		if (*value == '\n')
			return count < 0 || found == count;
		(void)strtoull(value, &end, base);
		if (end == value)
			return 0;
		value = end;
	}
}

int libreplace_proc_read_flags(int task, const char *number, struct libreplace_proc_text *text,
                               unsigned long *flags)
{
	char name[NAME_MAX + 16];
	const char *end;
	int error;

	snprintf(name, sizeof name, "%s/stat", number);
	error = read_whole(task, name, text);
	if (error != 0)
		return error;
	end = strrchr(text->bytes, ')'); /* the name before may contain anything */
	return end != NULL && sscanf(end, ") %*c %*d %*d %*d %*d %*d %lu", flags) == 1 ? 0
	                                                                               : ENODATA;
}

int libreplace_proc_read_thread(int task, const char *number, struct libreplace_proc_thread *thread,
                                unsigned long *flags)
{
	static const struct {
		const char *name;
		int base, count;
	} lines[] = {{"\nUid:", 10, 4},    {"\nGid:", 10, 4},    {"\nGroups:", 10, -1},
	             {"\nCapInh:", 16, 1}, {"\nCapPrm:", 16, 1}, {"\nCapEff:", 16, 1}};
	struct libreplace_proc_text *text = &thread->status;
	char name[NAME_MAX + 16];
	int error = libreplace_proc_read_flags(task, number, text, flags);

	if (error != 0)
		return error;
	snprintf(name, sizeof name, "%s/status", number);
	error = read_whole(task, name, text);
	for (size_t i = 0; error == 0 && i < sizeof lines / sizeof *lines; i++)
		if (!has_numbers(libreplace_proc_value_of(text, lines[i].name), lines[i].base,
		                 lines[i].count))
			error = ENODATA;
	if (error == 0)
		thread->number = number_of(text, number);
	return error;
}

/* The file system must be the kernel's, or somebody else chose what it says. */
int libreplace_proc_open_task(void)
{
	int task = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs system;

	if (task >= 0 && (fstatfs(task, &system) != 0 || system.f_type != PROC_MAGIC)) {
		close(task);
		errno = ENODEV;
		return -1;
	}
	return task;
}

/* Return: 0, or ENOMEM. */
static int append(struct libreplace_proc_list *list, int number)
{
	size_t room = list->room * 2 + 64;
	int *larger = list->numbers;

	if (list->size == list->room) {
		larger = realloc(larger, room * sizeof *larger);
		if (larger == NULL)
			return ENOMEM;
		list->numbers = larger;
		list->room = room;
	}
	larger[list->size++] = number;
	return 0;
}

/* The names of the folder. Return: 0, or errno. */
static int read_list(int task, struct libreplace_proc_list *list)
{
	int copy = openat(task, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	list->size = 0;
	if (folder == NULL) {
		error = errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	while (error == 0 && (errno = 0, entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			error = append(list, atoi(entry->d_name));
	if (error == 0)
		error = errno;
	closedir(folder);
	return error;
}

/*
 * If a thread ends meanwhile, the kernel may leave out others. So count: the link
 * count of the folder is the number of threads plus 2. A thread that was listed before, and exists
 * after the count, is one of them. A thread that starts later has the credentials of its creator.
 * Source: proc_task_readdir(), proc_task_getattr() in fs/proc/base.c.
 */
int libreplace_proc_list_threads(int task, struct libreplace_proc_list *list)
{
	int error = read_list(task, list);
	struct stat folder, one;
	nlink_t found = 2;
	char name[16];

	if (error != 0)
		return error;
	if (fstat(task, &folder) != 0)
		return errno;
	for (size_t i = 0; i < list->size; i++) {
		snprintf(name, sizeof name, "%d", list->numbers[i]);
		found += fstatat(task, name, &one, 0) == 0;
	}
	return found < folder.st_nlink ? EAGAIN : 0;
}
