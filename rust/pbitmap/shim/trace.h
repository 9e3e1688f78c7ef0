/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pbitmap

#if !defined(PBITMAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PBITMAP_TRACE_H

#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/* A file of a start, or a part of it: what was asked for and what was cached already. */
TRACE_EVENT(pbitmap_prefetch,
	TP_PROTO(u64 dev, u64 ino, u64 wanted, u64 cached, u64 asked, u64 runs),
	TP_ARGS(dev, ino, wanted, cached, asked, runs),
	TP_STRUCT__entry(
		__field(u64, dev)
		__field(u64, ino)
		__field(u64, wanted)
		__field(u64, cached)
		__field(u64, asked)
		__field(u64, runs)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->wanted = wanted;
		__entry->cached = cached;
		__entry->asked = asked;
		__entry->runs = runs;
	),
	TP_printk("dev=%u:%u ino=%llu wanted=%llu cached=%llu asked=%llu runs=%llu",
		  MAJOR((dev_t)__entry->dev), MINOR((dev_t)__entry->dev),
		  __entry->ino, __entry->wanted, __entry->cached,
		  __entry->asked, __entry->runs)
);

/* The page tables of a program were read, at its end or when its start was over. */
TRACE_EVENT(pbitmap_record,
	TP_PROTO(u64 dev, u64 ino, u64 pages, bool changed),
	TP_ARGS(dev, ino, pages, changed),
	TP_STRUCT__entry(
		__field(u64, dev)
		__field(u64, ino)
		__field(u64, pages)
		__field(bool, changed)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pages = pages;
		__entry->changed = changed;
	),
	TP_printk("dev=%u:%u ino=%llu pages=%llu changed=%d",
		  MAJOR((dev_t)__entry->dev), MINOR((dev_t)__entry->dev),
		  __entry->ino, __entry->pages, __entry->changed)
);

/* A bitmap was written back, or could not be (error is a negative errno). */
TRACE_EVENT(pbitmap_write,
	TP_PROTO(u64 dev, u64 ino, u64 generation, u64 pages, int error),
	TP_ARGS(dev, ino, generation, pages, error),
	TP_STRUCT__entry(
		__field(u64, dev)
		__field(u64, ino)
		__field(u64, generation)
		__field(u64, pages)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->generation = generation;
		__entry->pages = pages;
		__entry->error = error;
	),
	TP_printk("dev=%u:%u ino=%llu generation=%llu pages=%llu error=%d",
		  MAJOR((dev_t)__entry->dev), MINOR((dev_t)__entry->dev),
		  __entry->ino, __entry->generation, __entry->pages,
		  __entry->error)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
