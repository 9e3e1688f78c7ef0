// SPDX-License-Identifier: GPL-2.0
/* The tracepoints pbitmap:*. */
#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void pbm_trace_prefetch(u64 dev, u64 ino, u64 wanted, u64 cached, u64 asked,
			u64 runs)
{
	trace_pbitmap_prefetch(dev, ino, wanted, cached, asked, runs);
}

void pbm_trace_record(u64 dev, u64 ino, u64 pages, bool changed)
{
	trace_pbitmap_record(dev, ino, pages, changed);
}

void pbm_trace_write(u64 dev, u64 ino, u64 generation, u64 pages, int error)
{
	trace_pbitmap_write(dev, ino, generation, pages, error);
}
