// SPDX-License-Identifier: GPL-2.0
/* verity FILE - turn on fs-verity for the file */
#include <err.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	struct fsverity_enable_arg arg = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};
	int fd;

	if (argc != 2)
		errx(2, "usage: verity FILE");
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, FS_IOC_ENABLE_VERITY, &arg))
		err(1, "%s", argv[1]);
	return 0;
}
