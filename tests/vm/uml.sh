# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# User Mode Linux: fetches the kernel packages for prepare and boots one for stage. The
# guest is a process of the host with one CPU; its root is the directory it is chrooted in.

# uml_source KIND: the suite that carries this kernel.
uml_source() {
	case $1 in
	uml-7.2) echo sid ;;
	uml-6.12) echo trixie ;;
	esac
}

uml_recipe() {
	echo "$1 $(uml_source "$1")"
	declare -f uml_make
}

# uml_make KIND DIR
uml_make() {
	local kind=$1 dir=$2 suite version

	suite=$(uml_source "$kind")
	vm_apt_setup "$suite"
	version=$(vm_candidate "$suite" user-mode-linux)
	[[ $version == "${kind#uml-}"um* ]] ||
		vm_note "note: $suite has moved on: $kind is now user-mode-linux $version"
	vm_step "$kind: user-mode-linux $version of $suite"
	vm_fetch "$suite" "$dir/deb" user-mode-linux
	mv "$dir/deb/usr/bin/linux.uml" "$dir/deb/usr/lib/uml/modules" "$dir"
	rm -rf "$dir/deb"
	echo "$version" >"$dir/version"
}

# uml_boot KIND ROOT: boots and waits for the end. Standard input and output are
# the guest's console.
uml_boot() {
	local kind=$1 root=$2 args input=null

	[[ $VM_MODE != shell ]] || input=fd:0
	vm_bind "$VM_CACHE/$kind" "$root/boot" ro
	vm_bind "$VM_CACHE/$kind/modules" "$root/usr/lib/modules" ro
	# log_buf_len: the stock buffer of 16 KiB would lose what is scanned for later.
	# shellcheck disable=SC2054 # the commas are the kernel's
	args=(rootfstype=hostfs rootflags=/ rw "mem=${SLUICE_VM_MEM:-2G}"
		con=null "con0=$input,fd:1" ssl=null uml_dir=/tmp/ umid=uml
		init=/src/tests/vm/guest-init
		printk.time=1 log_buf_len=4M loglevel=5 oops=panic panic=-1)
	# Entering the kernel by seccomp instead of ptrace takes half the time (6.16 and later).
	[[ $kind == uml-6.* ]] || args+=(seccomp=auto)
	env -i PATH="$PATH" TMPDIR=/tmp HOME=/tmp \
		chroot "$root" /boot/linux.uml "${args[@]}"
}
