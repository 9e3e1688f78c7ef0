// SPDX-License-Identifier: GPL-2.0
/* Two probes that are of use only together, on tracepoints that are found by name. */
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "shim.h"

static void pbm_find_point(struct tracepoint *point, void *data)
{
	struct pbm_probes *probes = data;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes->points); i++)
		if (!strcmp(point->name, probes->names[i]))
			probes->points[i] = point;
}

/* False where the kernel lacks one of them. */
bool pbm_probes_find(struct pbm_probes *probes)
{
	probes->points[0] = NULL;
	probes->points[1] = NULL;
	for_each_kernel_tracepoint(pbm_find_point, probes);
	return probes->points[0] && probes->points[1];
}

/* To be called only after pbm_probes_find() has said yes. */
bool pbm_probes_register(struct pbm_probes *probes)
{
	if (tracepoint_probe_register(probes->points[0], probes->calls[0], NULL))
		return false;
	if (tracepoint_probe_register(probes->points[1], probes->calls[1], NULL)) {
		tracepoint_probe_unregister(probes->points[0], probes->calls[0], NULL);
		tracepoint_synchronize_unregister();
		return false;
	}
	return true;
}

/* Neither runs any more when this returns. */
void pbm_probes_unregister(struct pbm_probes *probes)
{
	tracepoint_probe_unregister(probes->points[0], probes->calls[0], NULL);
	tracepoint_probe_unregister(probes->points[1], probes->calls[1], NULL);
	tracepoint_synchronize_unregister();
}
