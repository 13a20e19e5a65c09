# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Common ground of the guest scripts: the kinds of guest, the cache and its lock, packages
# fetched through an apt state of our own, and a root put together in a private mount
# namespace. Sourced by prepare, run, shell, build, selftest and stage; never run. It must
# never write outside the cache, the caller's temporary directory and a mount namespace
# made for it, and never touch the machine's own apt state.

VM_HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
VM_TREE=$(cd -- "$VM_HERE/../.." && pwd -P)
VM_CACHE=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}

# shellcheck disable=SC2034 # read by the scripts that source this file
VM_KINDS=(uml-7.2 uml-6.12 qemu qemu-icount)

# Exit codes of our own: as timeout(1) has them.
# shellcheck disable=SC2034
VM_EXIT_TIMEOUT=124
VM_EXIT_FAILED=125

# The release the guests and the emulator are made of.
VM_SUITE=trixie
VM_SELF=tests/vm/$(basename -- "$0")

vm_note() {
	printf '%s: %s\n' "$VM_SELF" "$*" >&2
}

vm_die() {
	vm_note "$*"
	exit "$VM_EXIT_FAILED"
}

# vm_step TEXT: a progress line with the seconds since the script began.
vm_step() {
	printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

vm_need_root() {
	[[ $EUID -eq 0 ]] || vm_die "must run as root: it makes mount namespaces and a Debian root"
	unshare --mount true 2>/dev/null ||
		vm_die "cannot make a mount namespace: needs CAP_SYS_ADMIN (in a container, run it privileged)"
}

# vm_need_tools COMMAND=PACKAGE...
vm_need_tools() {
	local pair missing=()

	for pair; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	((${#missing[@]} == 0)) || vm_die "missing tools: apt-get install ${missing[*]}"
}

vm_need_amd64() {
	[[ $(dpkg --print-architecture) == amd64 ]] ||
		vm_die "the guests exist for amd64 only, this machine is $(dpkg --print-architecture)"
}

# vm_family KIND: the file that boots this kind.
vm_family() {
	case $1 in
	uml-7.2 | uml-6.12) echo uml ;;
	qemu | qemu-icount) echo qemu ;;
	*) vm_die "unknown kind '$1': one of ${VM_KINDS[*]}" ;;
	esac
}

# vm_components KIND: the directories of the cache this kind is made of.
vm_components() {
	case $1 in
	qemu | qemu-icount) echo guest qemu cloud ;;
	*) echo guest "$1" ;;
	esac
}

# ---- the cache -------------------------------------------------------------------------

# The lock is held shared by whoever uses the cache and exclusively by whoever changes it;
# it goes with the process that holds the descriptor.
vm_lock() {
	local how=$1

	mkdir -p "$VM_CACHE"
	exec {VM_LOCK}>"$VM_CACHE/lock"
	flock --nonblock "--$how" "$VM_LOCK" && return
	vm_step "waiting for another run that uses $VM_CACHE"
	flock "--$how" "$VM_LOCK"
}

# Also where a child that is about to end still has the descriptor.
vm_unlock() {
	flock --unlock "$VM_LOCK"
	exec {VM_LOCK}>&-
}

# vm_stamp_ok COMPONENT STAMP
vm_stamp_ok() {
	local file=$VM_CACHE/$1/stamp

	[[ -f $file && $(<"$file") == "$2" ]]
}

# vm_require KIND: takes the shared lock and refuses a kind that is not prepared. Whether
# the recipe has changed since is prepare's business: a guest that is there can be used.
vm_require() {
	local component

	vm_lock shared
	for component in $(vm_components "$1"); do
		[[ -f $VM_CACHE/$component/stamp ]] ||
			vm_die "$1 is not set up ($component is missing): run tests/vm/prepare $1"
	done
}

# vm_version COMPONENT: what the archive gave, e.g. the kernel's package version.
vm_version() {
	cat "$VM_CACHE/$1/version"
}

# vm_release KIND: the kernel's release, as the guest's uname has it.
vm_release() {
	local dir=$VM_CACHE/$1

	[[ $1 != qemu* ]] || dir=$VM_CACHE/cloud
	(cd "$dir/modules" && echo *)
}

# ---- packages --------------------------------------------------------------------------

vm_keyring() {
	local file

	for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[[ -f $file ]] && echo "$file" && return
	done
	vm_die "Debian's archive keys are missing: apt-get install debian-archive-keyring"
}

# The mirror this machine itself uses, so that a proxy or a local mirror is respected: that of
# Debian's main archive, or where nothing has been fetched yet, one that is called so.
vm_mirror() {
	local component release uri origin other=''
	# shellcheck disable=SC2016 # apt's own variables
	local format='$(COMPONENT) $(RELEASE) $(REPO_URI) $(ORIGIN)'

	if [[ -n ${SLUICE_MIRROR:-} ]]; then
		echo "${SLUICE_MIRROR%/}"
		return
	fi
	while read -r component release uri origin; do
		# security and updates are separate archives or parts of one
		[[ $component == main && $release != *-* ]] || continue
		if [[ $uri == mirror+file:* ]]; then
			uri=$(grep -m1 -o '^[a-z]*://[^[:space:]]*' "${uri#mirror+file:}") || continue
		fi
		[[ $uri == http*://* ]] || continue
		if [[ $origin == Debian ]]; then
			echo "${uri%/}"
			return
		fi
		[[ -n $other || ${uri%/} != */debian ]] || other=${uri%/}
	done < <(
		apt-get indextargets --format "$format" 'Created-By: Packages'
		apt-get indextargets --no-release-info --format "$format" 'Created-By: Packages'
	)
	[[ -n $other ]] || vm_die "found no Debian mirror in this machine's apt sources: set SLUICE_MIRROR"
	echo "$other"
}

# vm_apt_setup SUITE: an apt state of our own. The machine's proxy settings stay in force,
# its sources, pins, hooks and installed packages do not.
vm_apt_setup() {
	local dir=$VM_CACHE/apt/$1 suite=${2:-$1} kind=${3:-deb}

	mkdir -p "$dir"/{lists/partial,cache/archives/partial,parts}
	: >"$dir/status"
	printf '%s [signed-by=%s] %s %s main\n' "$kind" "$(vm_keyring)" "$(vm_mirror)" "$suite" \
		>"$dir/sources.list"
	cat >"$dir/apt.conf" <<-EOF
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "$dir/parts";
		Dir::Etc::preferences "$dir/preferences";
		Dir::Etc::preferencesparts "$dir/parts";
		Dir::State "$dir";
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Cache::archives "$dir/cache/archives";
		APT::Architecture "amd64";
		#clear APT::Architectures;
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
	EOF
	vm_apt_update "$1"
}

# vm_apt_update SUITE. A frozen mirror has lists whose date of expiry is past: still Debian's
# signature, and a guest is no place where an old package does harm, so a note is enough.
vm_apt_update() {
	local error

	error=$(vm_apt "$1" apt-get -qq --error-on=any update 2>&1) && return
	if [[ $error == *"is expired"* ]]; then
		vm_note "note: the mirror's lists of $1 are older than they should be"
		error=$(vm_apt "$1" apt-get -qq --error-on=any -o Acquire::Check-Valid-Until=false \
			update 2>&1) && return
	fi
	vm_die "apt-get update failed for $1: $error"
}

# vm_apt SUITE TOOL ARG...: an apt tool on that state.
vm_apt() {
	local suite=$1 tool=$2

	shift 2
	"$tool" -c "$VM_CACHE/apt/$suite/apt.conf" "$@"
}

# vm_candidate SUITE PACKAGE: the version that the suite has.
vm_candidate() {
	vm_apt "$1" apt-cache policy "$2" | sed -n 's/^  Candidate: //p'
}

# vm_fetch SUITE DIR PACKAGE...: downloads, checked by apt, and unpacks into DIR.
vm_fetch() {
	local suite=$1 dir=$2 debs deb

	shift 2
	debs=$(mktemp -d "$VM_CACHE/.tmp.debs.XXXXXX")
	(cd "$debs" && vm_apt "$suite" apt-get -qq download "$@") ||
		vm_die "cannot download $* of $suite"
	for deb in "$debs"/*.deb; do
		dpkg-deb --extract "$deb" "$dir"
	done
	rm -rf "$debs"
}

# vm_mmdebstrap ROOT VARIANT PACKAGE...: a Debian directory; apt verifies as above.
vm_mmdebstrap() {
	local root=$1 variant=$2 log proxy options=() scheme

	shift 2
	for scheme in http https; do
		proxy=$(apt-config dump --format '%v' "Acquire::$scheme::Proxy")
		[[ -z $proxy ]] || options+=("--aptopt=Acquire::$scheme::Proxy \"$proxy\"")
	done
	log=$root.log
	mmdebstrap --quiet --mode=root --format=directory --variant="$variant" \
		--include="$(IFS=,; echo "$*")" "${options[@]}" \
		--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		"$VM_SUITE" "$root" \
		"deb [signed-by=$(vm_keyring)] $(vm_mirror) $VM_SUITE main" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		vm_die "mmdebstrap failed"
	}
	rm -f "$log"
}

# ---- a root in a private mount namespace -----------------------------------------------

# The functions below change the mount table: callers are in a namespace of their own.

# vm_bind SOURCE TARGET [ro]
vm_bind() {
	mount --bind "$1" "$2"
	[[ ${3:-} != ro ]] || mount -o remount,bind,ro "$2"
}

# vm_mount_root ROOT TARGET: ROOT read-only at TARGET with what a chroot needs: its own
# /tmp, /proc, and a /dev of a few harmless nodes.
vm_mount_root() {
	local root=$1 target=$2 node

	mkdir -p "$target"
	vm_bind "$root" "$target" ro
	mount -t tmpfs -o mode=1777 tmp "$target/tmp"
	mount -t proc proc "$target/proc"
	mount -t tmpfs -o mode=0755 dev "$target/dev"
	for node in null zero full random urandom tty; do
		: >"$target/dev/$node"
		mount --bind "/dev/$node" "$target/dev/$node"
	done
	ln -s /proc/self/fd "$target/dev/fd"
	mkdir "$target/dev/shm"
}

# vm_build_dir: where this tree's build lies, by the tree's path.
vm_build_dir() {
	echo "$VM_CACHE/build/$(printf '%s' "$VM_TREE" | sha256sum | cut -c1-12)"
}

# vm_lock_build HOW: shared by the guests that run from it, exclusive for build.
vm_lock_build() {
	local file

	file=$(vm_build_dir).lock
	mkdir -p "${file%/*}"
	exec {VM_BUILD_LOCK}>"$file"
	flock --nonblock "--$1" "$VM_BUILD_LOCK" && return
	vm_step "waiting for ${file%.lock}"
	flock "--$1" "$VM_BUILD_LOCK"
}

# vm_scan: prints the faults in the kernel log on standard input, from the mark that the
# guest set when it began; 0 when there is one.
vm_scan() {
	sed -n '/sluice: guest begins/,$p' |
		grep -E -f <(grep -v '^#' "$VM_TREE/tests/kselftest/dmesg-patterns") | sort -u | head -n 20
}
