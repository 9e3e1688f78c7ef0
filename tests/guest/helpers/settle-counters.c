// SPDX-License-Identifier: GPL-2.0
/*
 * settle-counters STATS [LIVE] - wait until the module has no queued work and
 * LIVE recorders (0), 10 s at most. A program's end only queues the write:
 * whoever looks at the result has to wait for it.
 */
#include <stdlib.h>
#include "counters.h"

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	return counters_settle(argv[1], argc > 2 ? atoi(argv[2]) : 0, 10000);
}
