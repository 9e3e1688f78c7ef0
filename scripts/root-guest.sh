#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: root-guest.sh
#
# Runs inside the new root (build-root.sh calls it): what the root needs to
# boot as a guest under virtme-ng. A real udev would cost half a minute of
# every boot under software emulation, and nothing in the guest needs it: the
# kernel makes the device nodes.

set -euo pipefail

# The names by which virtme-init finds the ports for its script's output are
# all that it wants of udev.
cat >/usr/local/bin/udevd <<'UDEVD'
#!/bin/sh
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/vport*; do
	if read -r name <"$port/name" && [ -n "$name" ]; then
		ln -sf "../${port##*/}" "/dev/virtio-ports/$name"
	fi
done
UDEVD
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/udevadm
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/deallocvt
chmod 755 /usr/local/bin/udevd /usr/local/bin/udevadm /usr/local/bin/deallocvt

# There is no init system to bring these.
for command in poweroff reboot halt; do
	ln -sf /usr/bin/busybox "/usr/sbin/$command"
done

# Where the checkout, the cache and a directory of the host are put, and what
# virtme-init mounts over.
mkdir -p /src /cache /mnt/host /mnt/scratch /mnt/extra /etc/lvm
touch /etc/sudoers
