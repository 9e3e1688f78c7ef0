// SPDX-License-Identifier: GPL-2.0
/* dynamic [STATUS] - an ordinary program: an interpreter, a library, a line of text. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	puts("dynamic");
	return argc > 1 ? atoi(argv[1]) : 0;
}
