# What the fetch-* scripts share: downloads of the packages that guests.lock names, by apt, which checks signatures,
# retried and with progress, and the unpacking of one file out of a package. Sourced, not run.
#
# The host's own sources are not asked: it may be another release, or no Debian. Lists of the suite lie in build/apt.
# DEBIAN_MIRROR is where Debian's archives are (http://deb.debian.org).
# shellcheck shell=sh

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
archive=$(CDPATH='' cd -- "$here/../.." && pwd)/build/apt

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

# named ROLE: sets `suite`, `package`, `version`, `sum` and `metapackage` to what guests.lock says, `line` to its line.
named() {
	line=$(grep "^$1 " "$here/guests.lock") || fail "guests.lock has no $1"
	read -r _ suite package version sum metapackage <<-END
		$line
	END
}

# is_there FILE DIRECTORY: whether FILE was made, in DIRECTORY, of what was named, or of what was taken instead of it.
is_there() {
	[ -f "$1" ] || return 1
	[ "$(cat "$2/version" 2>/dev/null)" = "$package $version" ] || [ "$(cat "$2/instead-of" 2>/dev/null)" = "$line" ]
}

# of_suite COMMAND...: apt-get or apt-cache, which then knows the named suite and nothing else.
of_suite() {
	command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$archive/$suite/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$archive/$suite/state" -o Dir::State::status="$archive/$suite/status" \
		-o Dir::Cache="$archive/$suite/cache" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Default-Release= -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

write_sources() {
	mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
	for keys in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
		[ ! -f "$keys" ] || break
	done
	[ -f "$keys" ] || fail "Debian's keys are missing: install the package debian-archive-keyring"
	mkdir -p "$archive/$suite/state/lists/partial" "$archive/$suite/cache/archives/partial"
	: >"$archive/$suite/status"
	{
		echo "deb [signed-by=$keys] $mirror/debian $suite main"
		echo "deb [signed-by=$keys] $mirror/debian $suite-updates main"
		echo "deb [signed-by=$keys] $mirror/debian-security $suite-security main"
	} >"$archive/$suite/sources.list"
}

# Lists that are past their date still name what has the named checksum.
update_lists() {
	say "updating the package lists of Debian's $suite"
	write_sources
	of_suite apt-get update -qq -o Acquire::Check-Valid-Until=false -o APT::Update::Error-Mode=any >/dev/null 2>&1 ||
		say "the package lists of $suite could not be updated; going on with those there are"
}

# has VERSION: whether the lists have the package in this version.
has() {
	of_suite apt-cache show "$package=$1" 2>/dev/null | grep -q '^SHA256: '
}

# What is to be had of a package instead of the named version: sets `package` and `version` anew, and `sum` to nothing.
take_instead() {
	wanted="$package $version"
	if [ -n "$metapackage" ]; then
		package=$(of_suite apt-cache depends --no-recommends --no-suggests "$metapackage" 2>/dev/null |
			awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
	fi
	version=$(of_suite apt-cache show --no-all-versions "${package:-none}" 2>/dev/null |
		awk '$1 == "Version:" { print $2; exit }')
	[ -n "$version" ] || fail "$suite has neither $wanted nor another version of it: check the network, then run make again"
	sum=
	say "$suite no longer has $wanted, which the project names: taking $package $version instead"
}

# show_download NAME: turns apt's status lines into a line for each tenth of the way; fails unless the
# last line says that all went well.
show_download() {
	awk -F: -v name="$1" '
		$1 == "dlstatus" && int($3 / 10) > shown { shown = int($3 / 10); printf "downloading %s: %d%%\n", name, shown * 10; fflush() }
		{ last = $0 }
		END { exit last != "done" }' >&2
}

# download DIRECTORY: fetches what was named, or what there is instead of it, and sets `deb` to the path of the file.
download() {
	mkdir -p "$archive"
	exec 8>"$archive/.lock"
	flock 8
	has "$version" || update_lists
	has "$version" || take_instead
	for pause in 2 5 10 0; do
		rm -f "$1"/*.deb
		say "downloading $package $version"
		if (cd "$1" && of_suite apt-get download -qq -o Acquire::Retries=3 -o APT::Status-Fd=3 \
			"$package=$version" 3>&1 >/dev/null && echo done) | show_download "$package"; then
			deb=$(echo "$1"/*.deb)
			check_sum
			exec 8>&-
			return
		fi
		sleep "$pause"
		update_lists # the mirror may have dropped the version that the lists name
		has "$version" || take_instead
	done
	fail "$package $version could not be downloaded: check the network, then run make again"
}

check_sum() {
	[ -z "$sum" ] || echo "$sum  $deb" | sha256sum --check --status && return
	rm -f "$deb"
	fail "$package $version is not the file that guests.lock names: its SHA256 differs"
}

# note_version DIRECTORY: writes down what was fetched, and whether that was in place of what is named.
note_version() {
	rm -f "$1/instead-of"
	[ -n "$sum" ] || printf '%s\n' "$line" >"$1/instead-of"
	printf '%s %s\n' "$package" "$version" >"$1/version"
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
