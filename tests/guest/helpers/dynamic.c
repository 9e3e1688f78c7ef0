// SPDX-License-Identifier: GPL-2.0
/* dynamic [STATUS [wait]] - an ordinary program: an interpreter, a library, a line of
 * text. With a second argument it waits for its input. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	puts("dynamic");
	if (argc > 2)
		getchar();
	return argc > 1 ? atoi(argv[1]) : 0;
}
