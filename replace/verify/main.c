/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The program libreplace-verify: runs the checks of plan.c and prints the results in the Test
 * Anything Protocol, version 14.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "verify.h"

static const char help[] =
    "usage: libreplace-verify [--not-run-status=STATUS]\n"
    "\n"
    "Switch ids in child processes, and compare the results with the decision of the\n"
    "build. The ids of the program itself never change. Run it as root, or with\n"
    "CAP_SETUID and CAP_SETGID, to run every check. TMPDIR is the folder for new files.\n"
    "The output is in the Test Anything Protocol (TAP), version 14.\n"
    "\n"
    "  --not-run-status=STATUS  exit with this status instead of 2 (for a test program\n"
    "                           that expects 77)\n"
    "  --help                   print this text\n"
    "  --version                print the version and the back end of the library\n"
    "\n"
    "exit status:\n"
    "  0   every claim was proved\n"
    "  1   a claim is wrong: do not use this build on this machine\n"
    "  2   a check could not run (for example, it needs root), or an option is wrong\n"
    "  74  the output could not be written\n";

/* End the program if the output was lost. A test must not take silence for success. */
static void flush_or_exit(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	fprintf(stderr, "libreplace-verify: cannot write the output: %s\n", strerror(errno));
	remove_folder();
	exit(EX_IOERR);
}

/* Print a text that may have come from the environment: one line, without control characters. */
static void print_harmless(FILE *stream, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
		if (*c >= ' ' && *c <= '~')
			putc(*c, stream);
		else
			fprintf(stream, "\\x%02x", *c);
}

static void print_result(int number, const struct check *check, enum outcome outcome,
                         const char *detail)
{
	printf("%s %d - %s: %s", outcome == CONTRADICTED ? "not ok" : "ok", number, check->name,
	       check->claim);
	if (outcome == PROVED && detail[0] != '\0')
		printf(" (%s)", detail);
	if (outcome == NOT_RUN) {
		fputs(" # SKIP ", stdout);
		print_harmless(stdout, detail);
	}
	putchar('\n');
	if (outcome == CONTRADICTED) {
		fputs("  ---\n  message: \"", stdout);
		for (const char *c = detail; *c != '\0'; c++)
			if (*c == '"' || *c == '\\')
				printf("\\%c", *c);
			else
				print_harmless(stdout, (const char[]){*c, '\0'});
		fputs("\"\n  ...\n", stdout);
	}
	flush_or_exit();
}

static void clean_up(int number)
{
	sigset_t signals;

	stop_check();
	remove_folder();
	signal(number, SIG_DFL);
	raise(number);
	sigemptyset(&signals);
	sigaddset(&signals, number); /* it is blocked while its handler runs */
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	_exit(128 + number); /* the first process of a container survives its own signal */
}

/* nohup(1) and shells start a program with ignored signals, which must stay so. */
static void handle(int number)
{
	if (signal(number, SIG_IGN) != SIG_IGN)
		signal(number, clean_up);
}

/* A file that is opened later must not become standard input, output or error. */
static int has_standard_files(void)
{
	int output = fcntl(STDOUT_FILENO, F_GETFD), file;

	do {
		file = open("/dev/null", O_RDWR);
	} while (file != -1 && file <= STDERR_FILENO);
	close(file);
	return output != -1;
}

/* The first obstacle to a check, or NULL. */
static const char *prevents(const struct check *check)
{
	for (const char *const *name = check->needs; *name != NULL; name++)
		if (obstacle(*name) != NULL)
			return obstacle(*name);
	return check->call == NULL ? NULL : obstacle(check->call);
}

static int run_plan(int not_run_status)
{
	int count[3] = {0, 0, 0};
	char detail[600];

	printf("TAP version 14\n1..%d\n", planned);
	flush_or_exit();
	for (int i = 0; i < planned; i++) {
		const char *reason = prevents(&plan[i]);
		enum outcome outcome = NOT_RUN;

		if (reason == NULL)
			outcome = run_check(&plan[i], detail, sizeof detail);
		else
			snprintf(detail, sizeof detail, "%s", reason);
		count[outcome]++;
		print_result(i + 1, &plan[i], outcome, detail);
	}
	return count[CONTRADICTED] > 0 ? 1 : count[NOT_RUN] > 0 ? not_run_status : 0;
}

static int wrong_usage(const char *what, const char *word)
{
	fprintf(stderr, "libreplace-verify: %s ", what);
	print_harmless(stderr, word);
	fputs("; try --help\n", stderr);
	return 2;
}

int main(int size, char **words)
{
	static const char option[] = "--not-run-status=";
	int not_run_status = 2, status;
	char *end = NULL;

	if (!has_standard_files()) {
		fprintf(stderr, "libreplace-verify: cannot write the output: it is closed\n");
		return EX_IOERR;
	}
	signal(SIGPIPE, SIG_IGN); /* writing then fails, with a message */
	signal(SIGCHLD, SIG_DFL); /* if it is ignored, a child's status is lost */
	for (int i = 1; i < size; i++) {
		if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "--version") == 0) {
			if (words[i][2] == 'h')
				fputs(help, stdout);
			else
				printf("libreplace-verify %s (%s)\n",
				       libreplace_build_info("version"), LIBREPLACE_BACKEND);
			flush_or_exit();
			return 0;
		}
		if (strncmp(words[i], option, strlen(option)) != 0)
			return wrong_usage("unknown option", words[i]);
		not_run_status = (int)strtol(words[i] + strlen(option), &end, 10);
		if (*end != '\0' || end[-1] == '=' || not_run_status < 2 || not_run_status > 255)
			return wrong_usage("the status must be 2 to 255:", words[i]);
	}
	open_folder();
	handle(SIGINT);
	handle(SIGTERM);
	handle(SIGHUP);
	choose_ids();
	find_obstacles();
	make_plan();
	status = run_plan(not_run_status);
	remove_folder();
	return status;
}
