#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The project's programs that test kernel TLS, for the kernel's own runner: each prints TAP; here a
# line for each. SLUICE_BUILD is the project's build (default /build).
set -u
# shellcheck source=tests/kselftest/ktap.sh
. "$(dirname "$0")/ktap.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=${SLUICE_BUILD:-/build}

programs=("$build"/tests/flow-kernel_*)
found=()
for program in "${programs[@]}"; do
  if [ -f "$program" ] && [ -x "$program" ]; then found+=("$program"); fi
done
if [ ${#found[@]} -eq 0 ]; then
  ktap_plan 1
  ktap_skip "programs of the project" "no build in $build: set SLUICE_BUILD"
  ktap_end
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
ktap_plan ${#found[@]}
for program in "${found[@]}"; do
  ktap_test "$(basename "$program")" "$here/run-all" --results "$results" "$program"
done
ktap_end
