/* SPDX-License-Identifier: GPL-2.0 */
/* The module's counters: a "name value" line each. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_COUNTERS 256

struct counters {
	int count;
	struct {
		char name[64];
		long long value;
	} list[MAX_COUNTERS];
};

static inline void counters_read(const char *path, struct counters *c)
{
	FILE *f = fopen(path, "re");

	if (!f)
		err(2, "%s", path);
	c->count = 0;
	while (c->count < MAX_COUNTERS &&
	       fscanf(f, "%63s %lld", c->list[c->count].name, &c->list[c->count].value) == 2)
		c->count++;
	fclose(f);
}

/* The sum of all counters whose name starts with @prefix, or equals it. */
static inline long long counters_sum(const struct counters *c, const char *prefix)
{
	size_t n = strlen(prefix);
	int whole = prefix[n - 1] != '_';
	long long sum = 0;

	for (int i = 0; i < c->count; i++)
		if (whole ? !strcmp(c->list[i].name, prefix) :
			    !strncmp(c->list[i].name, prefix, n))
			sum += c->list[i].value;
	return sum;
}

/*
 * Wait until nothing is left to be written, and for @live recorders unless it is
 * negative: recorders of ended programs stay for a moment.
 */
static inline int counters_settle(const char *path, long long live, int milliseconds)
{
	struct counters c;

	for (int waited = 0; waited <= milliseconds; waited += 2) {
		counters_read(path, &c);
		if ((live < 0 || counters_sum(&c, "recorders_live") == live) &&
		    !counters_sum(&c, "work_pending"))
			return 0;
		usleep(2000);
	}
	return 1;
}

#endif
