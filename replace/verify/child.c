/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Runs one check in a child process with a time limit. The child writes one digit and a text into
 * a pipe. It may do so from any thread, because _exit(2) ends them all.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "verify.h"

enum { SECONDS = 30, ENDED = 3 };

static int pipe_to_parent;
static volatile pid_t running; /* the child of the present check */

void end_check(enum outcome outcome, const char *format, ...)
{
	char message[401] = "";
	size_t length;
	va_list list;

	message[0] = (char)('0' + outcome);
	va_start(list, format);
	vsnprintf(message + 1, sizeof message - 1, format, list);
	va_end(list);
	length = strlen(message);
	if (write(pipe_to_parent, message, length) != (ssize_t)length)
		_exit(ENDED);
	_exit(0);
}

static _Noreturn void be_child(const struct check *check)
{
	sigset_t none;

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(SECONDS);
	check->run(check->argument);
	end_check(PROVED, "%s", "");
}

/* The outcome of a child that wrote nothing. */
static enum outcome explain_end(const char *name, int status, char *detail, size_t room)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		snprintf(detail, room, "%s: a seccomp filter ends the process here (SIGSYS)", name);
		return NOT_RUN;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(detail, room, "the child process did not end within %d seconds", SECONDS);
	else if (WIFSIGNALED(status))
		snprintf(detail, room, "the child ended with signal %d", WTERMSIG(status));
	else
		snprintf(detail, room, "the child ended with status %d", WEXITSTATUS(status));
	return CONTRADICTED;
}

void stop_check(void)
{
	if (running > 0 && kill(running, SIGKILL) == 0)
		waitpid(running, NULL, 0);
}

enum outcome run_check(const struct check *check, char *detail, size_t room)
{
	int ends[2], status = 0;
	size_t size = 0;
	ssize_t count;
	char digit;
	pid_t child;

	detail[0] = '\0';
	empty_folder();
	if (pipe(ends) != 0 || (child = fork()) == -1) {
		snprintf(detail, room, "no child process can be started: %s", strerror(errno));
		return NOT_RUN;
	}
	if (child == 0) {
		close(ends[0]);
		pipe_to_parent = ends[1];
		be_child(check);
	}
	running = child;
	close(ends[1]);
	do {
		count = read(ends[0], detail + size, room - 1 - size);
		size += count > 0 ? (size_t)count : 0;
	} while ((count > 0 && size < room - 1) || (count == -1 && errno == EINTR));
	close(ends[0]);
	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		;
	running = 0;
	if (size == 0)
		return explain_end(check->name, status, detail, room);
	digit = detail[0];
	detail[size] = '\0';
	memmove(detail, detail + 1, size);
	return (enum outcome)(digit - '0');
}
