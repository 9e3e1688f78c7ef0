/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers that are the same again from the same seed (splitmix64). */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdint.h>

static uint64_t chance_state;

static uint64_t chance(void)
{
	uint64_t z = chance_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0 if there is no limit. */
static uint64_t below(uint64_t limit)
{
	return limit ? chance() % limit : 0;
}

#endif
