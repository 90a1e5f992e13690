# What the fetch-* scripts share: downloads by apt, which checks signatures and checksums, retried and
# with progress, and the unpacking of one file out of a package. Sourced, not run.
# shellcheck shell=sh

say() {
	printf '%s\n' "$*" >&2
}

fail() {
	say "$(basename -- "$0"): $*"
	exit 1
}

# lock DIRECTORY: makes the directory and waits until no other run works in it.
lock() {
	mkdir -p "$1"
	exec 9>"$1/.lock"
	flock --nonblock 9 || {
		say "waiting for another run that works in $1"
		flock 9
	}
}

update_lists() {
	say "updating the package lists"
	apt-get update -qq -o APT::Update::Error-Mode=any -o DPkg::Lock::Timeout=300 >/dev/null 2>&1 ||
		say "the package lists could not be updated; going on with those there are"
}

# show_download NAME: turns apt's status lines into a line for each tenth of the way; fails unless the
# last line says that all went well.
show_download() {
	awk -F: -v name="$1" '
		$1 == "dlstatus" && int($3 / 10) > shown { shown = int($3 / 10); printf "downloading %s: %d%%\n", name, shown * 10; fflush() }
		{ last = $0 }
		END { exit last != "done" }' >&2
}

# download PACKAGE DIRECTORY: sets `deb` to the path of the package's file.
download() {
	for pause in 2 5 10 0; do
		rm -f "$2"/*.deb
		say "downloading $1"
		if (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 \
			-o APT::Status-Fd=3 "$1" 3>&1 >/dev/null && echo done) | show_download "$1"; then
			deb=$(echo "$2"/*.deb)
			return
		fi
		sleep "$pause"
		update_lists # the mirror may have dropped the version that the lists name
	done
	fail "$1 could not be downloaded: check the network and the apt sources, then run make again"
}

# unpack_member DEB PATTERN FILE: writes the one member that matches PATTERN to FILE. Each checkpoint of
# tar is 100 MiB read; the package says how many there will be.
unpack_member() {
	say "unpacking $(basename -- "$3" .part) from $(basename -- "$1")"
	total=$(dpkg-deb --field "$1" Installed-Size)
	export total
	# shellcheck disable=SC2016 # expanded by the shell that tar starts
	dpkg-deb --fsys-tarfile "$1" |
		tar -x --to-stdout --wildcards --checkpoint=10240 \
			--checkpoint-action='exec=echo "unpacking: $((TAR_CHECKPOINT * 10 * 100 / total))%" >&2' \
			-f - "$2" >"$3" || fail "$1 could not be unpacked: is the disk full?"
	[ -s "$3" ] || fail "$1 has no $2: its layout has changed"
}

# name_version DEB: prints the name and the version of the package that it holds.
name_version() {
	# shellcheck disable=SC2016 # dpkg-deb's own variables
	dpkg-deb --show --showformat='${Package} ${Version}\n' "$1"
}
