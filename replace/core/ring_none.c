/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels without io_uring(7), headers without its calls, and builds whose calls change the
 * whole process: a thread there could not store the credentials of one user. ring_linux.c is for
 * Linux. libreplace/ring.h explains the functions.
 */
#include <errno.h>
#include "internal.h"

static int no_ring(void)
{
	errno = ENOSYS;
	return -1;
}

int libreplace_ring_open(struct libreplace_ring **ring,
                         const struct libreplace_ring_options *options)
{
	(void)ring;
	(void)options;
	return no_ring();
}

int libreplace_ring_fd(const struct libreplace_ring *ring)
{
	(void)ring;
	return no_ring();
}

int libreplace_ring_start(struct libreplace_ring *ring, const struct libreplace_identity *identity,
                          const struct libreplace_ring_call *call, void *data,
                          struct libreplace_ring_request **request)
{
	(void)ring;
	(void)identity;
	(void)call;
	(void)data;
	(void)request;
	return no_ring();
}

int libreplace_ring_flush(struct libreplace_ring *ring)
{
	(void)ring;
	return no_ring();
}

int libreplace_ring_results(struct libreplace_ring *ring, struct libreplace_ring_result *results,
                            int room)
{
	(void)ring;
	(void)results;
	(void)room;
	return no_ring();
}

int libreplace_ring_get_result(struct libreplace_ring *ring,
                               struct libreplace_ring_request *request,
                               struct libreplace_ring_result *result)
{
	(void)ring;
	(void)request;
	(void)result;
	return no_ring();
}

void libreplace_ring_cancel(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	(void)ring;
	(void)request;
}

int libreplace_ring_close(struct libreplace_ring *ring)
{
	(void)ring;
	return 0;
}
