/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_use_setreuid, _setresuid, _seteuid, _setuidx: can this function set the
 * effective id and restore root? Yes, if root asked: it did both. Yes, if another user
 * asked: the function exists. This probe is only evidence: without thread credentials,
 * samba_config.h names the first of these functions that libc has, in Samba's order.
 */
#include "probe.h"
#if defined(USE_SETUIDX)
#include <sys/id.h>
#endif

static int set_effective(uid_t euid)
{
#if defined(USE_SETREUID)
	return setreuid(-1, euid);
#elif defined(USE_SETRESUID)
	return setresuid(-1, euid, -1);
#elif defined(USE_SETEUID)
	return seteuid(euid);
#elif defined(USE_SETUIDX)
	return setuidx(ID_EFFECTIVE, euid);
#endif
}

static void body(void)
{
	if (geteuid() != 0) {
		check(set_effective(geteuid()) == 0 || errno != ENOSYS, "ENOSYS");
		answer(YES, "not root: the call exists");
	}
	step(set_effective(A_USER) != 0, "set effective");
	check(geteuid() == A_USER, "the effective id is not the one that was set");
	step(set_effective(0) != 0, "restore");
	check(geteuid() == 0, "root was not restored");
	answer(YES, "set the effective id and restored root");
}

int main(void)
{
	return run_probe(body);
}
