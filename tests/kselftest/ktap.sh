# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# KTAP for shell tests: ktap_plan N, then ktap_test NAME COMMAND... or ktap_skip NAME WHY for each,
# and ktap_end, whose status is kselftest's: 0 pass, 1 fail, 4 everything skipped.

ktap_count=0
ktap_bad=0
ktap_skips=0

ktap_plan() {
  echo "TAP version 13"
  echo "1..$1"
}

ktap_test() {
  local name=$1 output
  shift
  ktap_count=$((ktap_count + 1))
  if output=$("$@" 2>&1); then
    echo "ok $ktap_count $name"
  else
    echo "not ok $ktap_count $name"
    ktap_bad=$((ktap_bad + 1))
    printf '%s\n' "$output" | sed 's/^/# /'
  fi
}

ktap_skip() {
  ktap_count=$((ktap_count + 1))
  ktap_skips=$((ktap_skips + 1))
  echo "ok $ktap_count $1 # SKIP $2"
}

ktap_end() {
  echo "# Totals: pass:$((ktap_count - ktap_bad - ktap_skips)) fail:$ktap_bad skip:$ktap_skips"
  [ "$ktap_bad" -eq 0 ] || exit 1
  [ "$ktap_count" -ne "$ktap_skips" ] || exit 4
  exit 0
}
