/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The same calls in C++17, with a class that leaves the identity at the end of its scope.
 */
#include <libreplace/replace.h>
#include <cerrno>
#include <future>
#include <iostream>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

class Impersonation
{
	LIBREPLACE_GUARD(held, 64);

      public:
	Impersonation(uid_t uid, gid_t gid, const std::vector<gid_t> &groups)
	{
		const libreplace_identity who = {uid, gid, groups.size(), groups.data()};
		libreplace_guard_init(&held.guard, sizeof held);
		if (libreplace_enter(&held.guard, &who, LIBREPLACE_LEVEL_SHIELDED) != 0)
			throw std::system_error(errno, std::generic_category(), "libreplace_enter");
	}
	~Impersonation()
	{
		libreplace_leave(&held.guard);
	}
	Impersonation(const Impersonation &) = delete; // a guard must not move
	Impersonation &operator=(const Impersonation &) = delete;
};

int main()
{
	std::promise<uid_t> inside;
	std::promise<void> looked;
	std::thread worker([&] {
		{
			Impersonation alice(80001, 80011, {80011, 80021});
			inside.set_value(geteuid());
			looked.get_future().wait();
		}
		std::cout << ", then " << geteuid() << std::endl;
	});

	std::cout << "the thread is " << inside.get_future().get() << ", main is " << geteuid();
	looked.set_value();
	worker.join();
	return libreplace_active() != 0;
}
