#!/usr/bin/env bash
# Puts ocibake into the PATH of the steps that follow: the one that is there, or a release, whose archive is held against the checksums
# of that release.
set -euo pipefail

fail() {
    printf '::error::%s\n' "$1" >&2
    exit 1
}

version=${INPUT_VERSION-}
if [ -z "$version" ]; then
    command -v ocibake >/dev/null || fail "there is no ocibake in the PATH: say which release is to be installed, with the input version"
    ocibake --version
    exit 0
fi
[[ $version =~ ^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "the input version is no version: it is written as in 1.2.3"
version=${version#v}
case $(uname -s)-$(uname -m) in
Linux-x86_64) machine=x86_64-unknown-linux-musl ;;
Linux-aarch64 | Linux-arm64) machine=aarch64-unknown-linux-musl ;;
*) fail "there is no release for this machine" ;;
esac
releases=${INPUT_RELEASES-}
[[ $releases =~ ^https?://[^[:space:]]+$ ]] || fail "nobody says where releases are: set the input releases to the address that is above v$version/"
archive=ocibake-$version-$machine.tar.gz
place=$(mktemp -d "${RUNNER_TEMP:-/tmp}/ocibake-install-XXXXXX")
cd "$place"
for file in "$archive" SHA256SUMS; do
    curl --fail --silent --show-error --location --retry 3 --output "$file" "${releases%/}/v$version/$file"
done
grep -E "^[0-9a-f]{64} [ *]${archive//./\\.}\$" SHA256SUMS >wanted || fail "SHA256SUMS of v$version does not name $archive"
if [ -n "${INPUT_CHECKSUM-}" ]; then
    [ "$(cut -c 1-64 wanted)" = "$INPUT_CHECKSUM" ] || fail "$archive is not the one that the input checksum names"
fi
sha256sum --check --strict --status wanted || fail "$archive is not what SHA256SUMS says"
mkdir bin
tar -xzf "$archive" --no-same-owner
program=$(find . -type f -name ocibake -not -path './bin/*' | head -n 1)
[ -n "$program" ] || fail "$archive holds no ocibake"
install -m 755 "$program" bin/ocibake
printf '%s\n' "$place/bin" >>"$GITHUB_PATH"
bin/ocibake --version
