#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What tools/quickstart shows of the relay is so: three lines of configuration, a page over TLS, and a
# server that knows nothing of it. The page and the lines are read out of what it prints.
# Environment: as tests/daemon/lib.sh.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")/../.." && pwd)

has() {
  grep -q -- "$1" "$work/shown" && return
  say "it does not show '$1'"
  return 1
}

three_lines() {
  local path
  timeout 60 "$here/tools/show-relay" "$build" >"$work/shown" 2>&1 </dev/null || {
    say "it failed: $(tail -n 5 "$work/shown" | tr '\n' ' ')"
    return 1
  }
  [ "$(grep -cE '^ *(listeners|profiles|pools): ' "$work/shown")" = 3 ] || {
    say "these are not three lines"
    return 1
  }
  path=$(path_of TLS_AES_128_GCM_SHA256 auto)
  has 'a page of a server that knows nothing of TLS' && has 'status 200, certificate verified: 0 ' &&
    has '"GET / HTTP/1.1" 200' && has "live .* web .* TLSv1.3 *$path"
}

"$SLUICE" probe >"$work/probe"
ktap_plan 1
# test: a plain HTTP server has TLS by three lines of configuration
attempt "a plain HTTP server has TLS by three lines of configuration" three_lines
exit "$ktap_failed"
