/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A file system whose server does not answer some requests, as one of a hostile user. The server is
 * a process of its own: a process that waits for its own server cannot be killed. It ends after a
 * time, and then the kernel ends all requests of the file system. Source: linux/fuse.h, fuse(4),
 * fs/fuse/dev.c.
 */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include <linux/fuse.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include "ring_cases.h"

enum { LIFETIME = 15, MOST_HELD = 4096, OPERATIONS = 64 };

/* What the test and the server share. The test writes the first three. */
struct fuse_orders {
	char is_held[OPERATIONS]; /* the operation gets no answer */
	unsigned lifetime;        /* seconds that the kernel may keep a name and its attributes */
	int answers_interrupts;
	int count[OPERATIONS]; /* requests of each operation */
};

static struct fuse_orders *orders;
static pid_t fuse_server;
static int fuse_events, fuse_news; /* a byte for each held request; and for new orders */

/* ---- in the server */

static int device;
static uint64_t held[MOST_HELD];
static uint32_t held_operation[MOST_HELD];
static uint64_t held_node[MOST_HELD];
static int held_size;

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	char buffer[512];
	struct fuse_out_header header = {(uint32_t)(sizeof header + size), -error, unique};

	MUST(sizeof header + size <= sizeof buffer);
	memcpy(buffer, &header, sizeof header);
	if (size > 0)
		memcpy(buffer + sizeof header, data, size);
	/* ENOENT: the request has ended */
	MUST(write(device, buffer, header.len) == (ssize_t)header.len || errno == ENOENT);
}

/* Node 1 is the root; even numbers are folders, odd ones are files. */
static struct fuse_attr attributes_of(uint64_t node)
{
	struct fuse_attr attributes = {.ino = node, .nlink = 1, .uid = ALICE, .gid = STAFF};
	int is_folder = node == 1 || node % 2 == 0;

	attributes.mode = is_folder ? S_IFDIR | 0777 : S_IFREG | 0666;
	attributes.blksize = 4096;
	return attributes;
}

/* "f7" is file 7, "d7" is folder 7, and no other name is there. */
static void reply_entry(uint64_t unique, const char *name, unsigned lifetime)
{
	uint64_t number = strtoul(name + 1, NULL, 10);
	struct fuse_entry_out entry = {.entry_valid = lifetime, .attr_valid = lifetime};

	if (name[0] != 'f' && name[0] != 'd') {
		reply(unique, ENOENT, NULL, 0);
		return;
	}
	entry.nodeid = 2 * number + (name[0] == 'f' ? 1001 : 1000);
	entry.attr = attributes_of(entry.nodeid);
	reply(unique, 0, &entry, sizeof entry);
}

static void answer(uint64_t unique, uint32_t operation, uint64_t node, const char *data)
{
	struct fuse_init_out init = {
	    .major = 7, .minor = 31, .max_write = 4096, .max_readahead = 0};
	struct fuse_attr_out attributes = {.attr_valid = orders->lifetime};
	struct fuse_open_out opened = {.fh = 1};
	struct fuse_statfs_out status;

	switch (operation) {
	case FUSE_INIT:
		reply(unique, 0, &init, sizeof init);
		break;
	case FUSE_LOOKUP:
		reply_entry(unique, data, orders->lifetime);
		break;
	case FUSE_MKDIR:
		reply_entry(unique, "d9", orders->lifetime);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		attributes.attr = attributes_of(node);
		reply(unique, 0, &attributes, sizeof attributes);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		reply(unique, 0, &opened, sizeof opened);
		break;
	case FUSE_STATFS:
		memset(&status, 0, sizeof status);
		reply(unique, 0, &status, sizeof status);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		reply(unique, 0, NULL, 0);
		break;
	default:
		reply(unique, ENOSYS, NULL, 0);
	}
}

static void hold(const struct fuse_in_header *header, const char *data)
{
	(void)data; /* the kernel does not ask for a name again; its number is enough */
	MUST(held_size < MOST_HELD);
	held[held_size] = header->unique;
	held_operation[held_size] = header->opcode;
	held_node[held_size++] = header->nodeid;
	MUST(write(fuse_events, "", 1) == 1);
}

/* Answer a held request. One for a name says that there is none. */
static void let_go(int place, int error)
{
	if (error != 0 || held_operation[place] == FUSE_LOOKUP)
		reply(held[place], error ? error : ENOENT, NULL, 0);
	else
		answer(held[place], held_operation[place], held_node[place], "");
	held_size--;
	held[place] = held[held_size];
	held_operation[place] = held_operation[held_size];
	held_node[place] = held_node[held_size];
}

static void interrupt(uint64_t unique)
{
	for (int i = 0; i < held_size && orders->answers_interrupts; i++)
		if (held[i] == unique) {
			let_go(i, EINTR);
			return;
		}
}

/* Read one request. Return: whether the file system is still mounted. */
static int serve_one(void)
{
	static _Alignas(8) char buffer[FUSE_MIN_READ_BUFFER];
	struct fuse_in_header header;
	ssize_t size = read(device, buffer, sizeof buffer);

	if (size < 0)
		return errno == EINTR || errno == ENOENT || errno == EAGAIN;
	memcpy(&header, buffer, sizeof header);
	if (header.opcode < OPERATIONS)
		__atomic_fetch_add(&orders->count[header.opcode], 1, __ATOMIC_SEQ_CST);
	if (header.opcode == FUSE_INTERRUPT) {
		struct fuse_interrupt_in which;

		memcpy(&which, buffer + sizeof header, sizeof which);
		interrupt(which.unique);
	} else if (header.opcode < OPERATIONS &&
	           __atomic_load_n(&orders->is_held[header.opcode], __ATOMIC_SEQ_CST)) {
		hold(&header, buffer + sizeof header);
	} else if (header.opcode != FUSE_FORGET && header.opcode != FUSE_BATCH_FORGET) {
		answer(header.unique, header.opcode, header.nodeid, buffer + sizeof header);
	}
	return 1;
}

static void serve(int news)
{
	struct pollfd ready[] = {{device, POLLIN, 0}, {news, POLLIN, 0}};
	char byte;

	alarm(LIFETIME);
	while (poll(ready, 2, -1) >= 0) {
		if (ready[1].revents & POLLIN) {
			MUST(read(news, &byte, 1) == 1);
			while (held_size > 0)
				let_go(0, 0);
			MUST(write(fuse_events, "", 1) == 1);
		} else if (ready[1].revents != 0) {
			return; /* the test has ended */
		} else if (ready[0].revents != 0 && !serve_one()) {
			return;
		}
	}
}

/* ---- in the test */

/* Mount the file system on the folder, in a mount namespace of this process. */
static inline void mount_fuse(const char *where)
{
	char options[128];
	int events[2], news[2];

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		skip("needs ", "/dev/fuse");
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		skip("needs ", "a mount namespace");
	snprintf(options, sizeof options,
	         "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
	         device);
	if (mount("fuse", where, "fuse", MS_NOSUID | MS_NODEV, options) != 0)
		skip("needs ", "FUSE");
	orders =
	    mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(orders != MAP_FAILED);
	orders->lifetime = 1000;
	MUST(pipe(events) == 0 && pipe(news) == 0 && (fuse_server = fork()) >= 0);
	if (fuse_server == 0) {
		close(events[0]);
		close(news[1]);
		fuse_events = events[1];
		serve(news[0]);
		_exit(0);
	}
	close(events[1]);
	close(news[0]);
	close(device);
	fuse_events = events[0];
	fuse_news = news[1];
}

static inline void hold_none(void)
{
	for (int i = 0; i < OPERATIONS; i++)
		__atomic_store_n(&orders->is_held[i], 0, __ATOMIC_SEQ_CST);
}

/* From now on, the server does not answer these operations; 0 ends the list. */
static inline void hold_operations(const int *operations)
{
	hold_none();
	for (; *operations != 0; operations++)
		__atomic_store_n(&orders->is_held[*operations], 1, __ATOMIC_SEQ_CST);
}

/* Let the server answer everything, also what it holds. */
static inline void answer_all(void)
{
	hold_none();
	MUST(write(fuse_news, "", 1) == 1);
}

/* Check that the server has not ended: this process has not waited for it until its end. */
static inline void must_be_served(void)
{
	MUST(waitpid(fuse_server, NULL, WNOHANG) == 0);
}

/* End the server, and so all requests of the file system. */
static inline void end_server(void)
{
	MUST(kill(fuse_server, SIGKILL) == 0 && waitpid(fuse_server, NULL, 0) == fuse_server);
}

#endif
