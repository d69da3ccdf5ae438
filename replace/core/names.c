/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The names of levels, steps and states, for the messages of C and Python programs.
 */
#include "internal.h"

const char *libreplace_level_name(int level)
{
	switch (level) {
	case LIBREPLACE_LEVEL_EFFECTIVE:
		return "effective";
	case LIBREPLACE_LEVEL_SHIELDED:
		return "shielded";
	case LIBREPLACE_LEVEL_REAL:
		return "real";
	case LIBREPLACE_LEVEL_FILESYSTEM:
		return "filesystem";
	default:
		return "unknown";
	}
}

const char *libreplace_step_name(int step)
{
	switch (step) {
	case LIBREPLACE_STEP_NONE:
		return "none";
	case LIBREPLACE_STEP_REFUSED:
		return "refusing";
	case LIBREPLACE_STEP_READ:
		return "reading the ids";
	case LIBREPLACE_STEP_PRIVILEGE:
		return "regaining privilege";
	case LIBREPLACE_STEP_GROUPS:
		return "setgroups";
	case LIBREPLACE_STEP_GID:
		return "setting the gid";
	case LIBREPLACE_STEP_UID:
		return "setting the uid";
	case LIBREPLACE_STEP_VERIFY:
		return "verifying";
	case LIBREPLACE_STEP_CAPABILITIES:
		return "checking capabilities";
	case LIBREPLACE_STEP_FOUND:
		return "comparing with the ids set on entry";
	case LIBREPLACE_STEP_ORDER:
		return "leaving in the wrong order";
	case LIBREPLACE_STEP_FORKED:
		return "leaving after a fork";
	case LIBREPLACE_STEP_RETURN:
		return "checking that the thread could return";
	case LIBREPLACE_STEP_THREADS:
		return "comparing the threads";
	case LIBREPLACE_STEP_IO_URING:
		return "looking for io_uring";
	case LIBREPLACE_STEP_ROOT_AGAIN:
		return "trying to become root again";
	case LIBREPLACE_STEP_KEYRING:
		return "joining a new session keyring";
	default:
		return "unknown";
	}
}

const char *libreplace_state_name(int state)
{
	switch (state) {
	case LIBREPLACE_STATE_IDLE:
		return "unchanged";
	case LIBREPLACE_STATE_ENTERED:
		return "switched";
	case LIBREPLACE_STATE_ROLLED_BACK:
		return "rolled back";
	case LIBREPLACE_STATE_TAINTED:
		return "tainted";
	case LIBREPLACE_STATE_LEFT:
		return "restored";
	case LIBREPLACE_STATE_FOR_GOOD:
		return "the user for good";
	case LIBREPLACE_STATE_ORPHANED:
		return "orphaned";
	default:
		return "unknown";
	}
}
