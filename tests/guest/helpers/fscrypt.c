// SPDX-License-Identifier: GPL-2.0
/* fscrypt DIRECTORY - what is made in this empty directory from now on is encrypted */
#include <err.h>
#include <fcntl.h>
#include <linux/fscrypt.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	static union {
		struct fscrypt_add_key_arg arg;
		char room[sizeof(struct fscrypt_add_key_arg) + 64];
	} key;
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
	};
	int fd;

	if (argc != 2)
		errx(2, "usage: fscrypt DIRECTORY");
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	key.arg.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER;
	key.arg.raw_size = 64;
	memset(key.arg.raw, 0x70, 64);
	if (fd < 0 || ioctl(fd, FS_IOC_ADD_ENCRYPTION_KEY, &key))
		err(1, "%s: key", argv[1]);
	memcpy(policy.master_key_identifier, key.arg.key_spec.u.identifier,
	       sizeof(policy.master_key_identifier));
	if (ioctl(fd, FS_IOC_SET_ENCRYPTION_POLICY, &policy))
		err(1, "%s: policy", argv[1]);
	return 0;
}
