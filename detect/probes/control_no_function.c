/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_control_no_function: can a program that calls a function of nobody be linked?
 * No: the other questions can be asked.
 * Yes: the linker accepts every function, so configure stops.
 */
int libreplace_no_such_function(void);

int main(void)
{
	return libreplace_no_such_function();
}
