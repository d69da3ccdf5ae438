/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A file of the kind that Samba's family has: it chooses its calls with the macros of config.h, and
 * includes no config.h itself. It is compiled with -include libreplace/samba_config.h alone.
 */
#ifdef HAVE_UNISTD_H
#include <unistd.h>
#endif
#ifdef HAVE_GRP_H
#include <grp.h>
#endif
#ifdef HAVE_SYS_TYPES_H
#include <sys/types.h>
#endif
#ifdef HAVE_SYS_PRIV_H
#include <sys/priv.h>
#endif
#ifdef HAVE_SYS_ID_H
#include <sys/id.h>
#endif
#include <errno.h>

#ifdef HAVE_LINUX_THREAD_CREDENTIALS
#ifdef HAVE_SYSCALL_H
#include <syscall.h>
#endif
#ifdef HAVE_SYS_SYSCALL_H
#include <sys/syscall.h>
#endif
#if defined SYS_setresuid32 && !defined USE_LINUX_32BIT_SYSCALLS
#error "16-bit calls"
#endif
#endif

int family_setresuid(uid_t ruid, uid_t euid, uid_t suid);
int family_setgroups(size_t count, const gid_t *groups);
int family_setuidx(int which, uid_t uid);
int family_setgidx(int which, gid_t gid);

int family_setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
#if defined HAVE_LINUX_THREAD_CREDENTIALS && defined USE_LINUX_32BIT_SYSCALLS
	return (int)syscall(SYS_setresuid32, ruid, euid, suid);
#elif defined HAVE_LINUX_THREAD_CREDENTIALS
	return (int)syscall(SYS_setresuid, ruid, euid, suid);
#elif defined HAVE_SETRESUID
	return setresuid(ruid, euid, suid);
#else
#error "no call"
#endif
}

int family_setgroups(size_t count, const gid_t *groups)
{
#if defined HAVE_LINUX_THREAD_CREDENTIALS && defined USE_LINUX_32BIT_SYSCALLS
	return (int)syscall(SYS_setgroups32, count, groups);
#elif defined HAVE_LINUX_THREAD_CREDENTIALS
	return (int)syscall(SYS_setgroups, count, groups);
#elif defined HAVE_SETGROUPS
	return setgroups(count, groups);
#else
#error "no call"
#endif
}

int family_setuidx(int which, uid_t uid)
{
#ifdef HAVE_SETUIDX
	return setuidx(which, uid);
#else
	(void)which;
	(void)uid;
	errno = ENOSYS;
	return -1;
#endif
}

int family_setgidx(int which, gid_t gid)
{
#ifdef HAVE_SETGIDX
	return setgidx(which, gid);
#else
	(void)which;
	(void)gid;
	errno = ENOSYS;
	return -1;
#endif
}
