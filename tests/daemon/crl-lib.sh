# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2317
#
# For scripts about revocation: a daemon that wants certificates of clients, a CA that revokes them, and
# clients that stay. Sourced behind lib.sh.

# prepare_ca: what `openssl ca` needs to issue revocation lists of our CA.
prepare_ca() {
  : >"$work/index.txt"
  echo 1000 >"$work/crlnumber"
  cat >"$work/ca.cnf" <<-END
	[ca]
	default_ca = it
	[it]
	database = $work/index.txt
	crlnumber = $work/crlnumber
	certificate = $work/ca.pem
	private_key = $work/ca.key
	default_md = sha256
	END
}

# revoke NAME [REASON]
revoke() {
  openssl ca -config "$work/ca.cnf" -revoke "$work/$1.pem" ${2:+-crl_reason "$2"} 2>>"$work/ca.log"
}

# issue FILE [OPTION...]: the revocation list of now, put in place in one step.
issue() {
  local file=$1
  shift
  [ $# -gt 0 ] || set -- -crldays 1
  openssl ca -config "$work/ca.cnf" -gencrl "$@" -out "$work/.new-crl" 2>>"$work/ca.log"
  mv "$work/.new-crl" "$file"
}

# new_client NAME: a certificate of our CA.
new_client() {
  sign "$1" "DNS:$1.test" ec -pkeyopt ec_paramgen_curve:P-256 >/dev/null 2>&1
}

# configure_crls SECTION PROFILE-LINE...
configure_crls() {
  local section=$1
  shift
  port=${port:-$(free_port)} quick=${quick:-$(free_port)}
  {
    cat <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	  - {name: quick, address: "127.0.0.1:$quick", profile: main, pool: quick}
	profiles:
	  main:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    verify: verify_peer
	    cacertfile: $work/ca.pem
	    fail_if_no_peer_cert: true
	    peer_identity: dns
	END
    printf '    %s\n' "$@"
    cat <<-END
	pools:
	  app: {socket: $work/app.sock}
	  quick: {socket: $work/quick.sock}
	limits: {handshakers: 2, per_source: 1000${limits:-}}
	admin: {socket: $work/admin.sock}
	END
    [ -z "$section" ] || echo "crls: $section"
  } >"$work/sluiced.conf"
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

# gets_in NAME: a client with this certificate is answered, by the worker of pool quick.
gets_in() {
  [[ $(port=$quick ask localhost -cert "$work/$1.pem" -key "$work/$1.key") == worker=* ]]
}

stays_out() {
  ! gets_in "$1"
}

# The log counts what was taken: in_force N
in_force() {
  [ "$(ctl crl list --json | grep -c '"sha256":"')" = "$1" ]
}
