# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# QEMU: fetches an emulator, virtiofsd and the distribution's cloud kernel for prepare, and
# boots that kernel for stage. Emulator and file server run from a Debian 13 directory of
# their own, so one version serves every host. Emulation only: KVM is never used, because
# where the tests run it cannot be counted on.
#
# The kind qemu-icount is the same guest with a clock that counts instructions: virtual time
# goes on by 1 ns with each and by nothing else, and an idle guest jumps to its next timer. So
# whatever the kernel knows about processor time is a number of instructions. It has one CPU,
# as QEMU runs several in turns then, and one that spins would count. Its CPU has no fast
# "rep movsb": counted are its iterations, so that each byte that is copied would cost as much
# as an instruction of the AEAD. Without it kernel and libraries copy in words and vectors.

QEMU_KERNEL_SUITE=$VM_SUITE-backports

qemu_recipe() {
	declare -f qemu_make vm_mmdebstrap
}

# qemu_make DIR: unpacked, not installed: nothing in it is ever configured.
qemu_make() {
	local dir=$1 link

	vm_step "qemu: the emulator and virtiofsd of $VM_SUITE"
	vm_mmdebstrap "$dir/root" extract qemu-system-x86 virtiofsd
	for link in bin lib lib64 sbin; do
		[[ -e $dir/root/$link ]] || ln -s "usr/$link" "$dir/root/$link"
	done
	mkdir -p "$dir/root"/{dev,guest,kernel,proc,tmp}
	chroot "$dir/root" qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version //p' \
		>"$dir/version"
}

cloud_recipe() {
	echo "$QEMU_KERNEL_SUITE"
	declare -f cloud_make cloud_depmod
}

# cloud_make DIR: the kernel that the meta-package points at now.
cloud_make() {
	local dir=$1 image

	vm_apt_setup "$QEMU_KERNEL_SUITE"
	image=$(vm_apt "$QEMU_KERNEL_SUITE" apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: linux-image-//p')
	[[ -n $image ]] || vm_die "linux-image-cloud-amd64 is not in $QEMU_KERNEL_SUITE"
	vm_step "cloud: kernel $image of $QEMU_KERNEL_SUITE"
	vm_fetch "$QEMU_KERNEL_SUITE" "$dir/deb" "linux-base-$image" \
		"linux-binary-$image" "linux-modules-$image"
	mv "$dir/deb/usr/lib/modules" "$dir/modules"
	rm -rf "$dir/deb"
	mv "$dir/modules/$image/vmlinuz" "$dir/vmlinuz"
	unshare --mount bash -euo pipefail -c "$(declare -f vm_bind vm_mount_root cloud_depmod)
		cloud_depmod \"\$@\"" depmod "$dir" "$image" "$VM_CACHE/guest/root" "$dir/.mnt"
	rmdir "$dir/.mnt"
	vm_candidate "$QEMU_KERNEL_SUITE" "linux-binary-$image" >"$dir/version"
}

# cloud_depmod DIR VERSION ROOT MOUNTPOINT: by the guest's own kmod, which reads .ko.xz.
cloud_depmod() {
	vm_mount_root "$3" "$4"
	vm_bind "$1/modules" "$4/usr/lib/modules"
	chroot "$4" depmod "$2"
}

# qemu_boot KIND ROOT: the guest's root, with all that is mounted below it, is served by
# virtiofsd from inside the emulator's directory.
qemu_boot() {
	local kind=$1 root=$2 tools=${2%/*}/tools mem=${SLUICE_VM_MEM:-2G} append args server cpu

	vm_mount_root "$VM_CACHE/qemu/root" "$tools"
	vm_bind "$VM_CACHE/cloud" "$tools/kernel" ro
	vm_bind "$VM_CACHE/cloud/modules" "$root/usr/lib/modules" ro
	mount --rbind "$root" "$tools/guest"

	# The processes are in a PID namespace, which is all the sandbox that is needed.
	chroot "$tools" /usr/libexec/virtiofsd --shared-dir /guest --socket-path /tmp/fs \
		--sandbox none --cache always --log-level error --thread-pool-size 4 >&2 &
	server=$!
	while [[ ! -S $tools/tmp/fs ]]; do
		kill -0 "$server" || return 1
		sleep 0.05
	done

	# Stalls and lockups are the emulation's when the host is loaded; a real one ends in
	# the run's time-out.
	append="rootfstype=virtiofs root=root rw console=ttyS0 SLUICE_TTY=ttyS0 \
init=/src/tests/vm/guest-init printk.time=1 log_buf_len=4M loglevel=5 oops=panic panic=-1 \
mitigations=off nowatchdog rcupdate.rcu_cpu_stall_suppress=1 tsc=reliable"
	# shellcheck disable=SC2054 # the commas are QEMU's
	if [[ $kind == qemu-icount ]]; then
		# nothing is calibrated: the counter has 1 GHz
		append+=" tsc_early_khz=1000000 sluice.icount=1"
		cpu=(-accel tcg,thread=single -icount shift=0,sleep=off,align=off
			-cpu max,erms=off,fsrm=off -smp 1)
	else
		cpu=(-accel tcg,thread=multi -cpu max -smp "${SLUICE_VM_CPUS:-4}")
	fi
	# shellcheck disable=SC2054
	args=(-nodefaults -no-user-config -no-reboot -display none
		-machine q35,memory-backend=mem "${cpu[@]}" -m "$mem"
		-object "memory-backend-memfd,id=mem,size=$mem,share=on"
		-chardev socket,id=fs,path=/tmp/fs
		-device vhost-user-fs-pci,chardev=fs,tag=root,queue-size=1024
		-device virtio-rng-pci
		-kernel /kernel/vmlinuz -append "$append")
	if [[ $VM_MODE == shell ]]; then
		args+=(-serial mon:stdio)
	else
		args+=(-serial stdio)
	fi
	chroot "$tools" qemu-system-x86_64 "${args[@]}"
}
