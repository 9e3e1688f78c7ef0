#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: root-guest.sh
#
# Runs inside the new root (build-root.sh calls it): the places at which
# in-root.sh and the guest mount things, as the root itself is read-only then.

set -euo pipefail

mkdir -p /src /cache /mnt/host /mnt/scratch /mnt/extra
