#!/usr/bin/env bash
# Builds an image as the inputs of action.yml say. They come as INPUT_* in the environment and become words of one command, whatever
# is in them: none is ever read by a shell.
set -euo pipefail

# escaped TEXT: as a command to the runner has it.
escaped() {
    local text=$1
    text=${text//'%'/%25}
    text=${text//$'\r'/%0D}
    printf '%s' "${text//$'\n'/%0A}"
}

fail() {
    printf '::error::%s\n' "$(escaped "$1")" >&2
    exit 1
}

warn() {
    printf '::warning::%s\n' "$(escaped "$1")" >&2
}

# input NAME: its value.
input() {
    local name=INPUT_${1//-/_}
    name=${name^^}
    printf '%s' "${!name-}"
}

# trimmed TEXT: without white space around it.
trimmed() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# records TEXT [SEPARATOR]: its lines, or what SEPARATOR parts in them, as `found`, without those that are empty. One that begins with a
# quotation mark goes on until the next, over ends of lines, too; two of them in it are one.
records() {
    found=()
    local text=$1 separator=${2-} record='' line quoted=''
    while IFS= read -r line || [ -n "$line" ]; do
        if [ -z "$quoted" ]; then
            line=$(trimmed "${line%$'\r'}")
            case $line in
            '') continue ;;
            '"'*) quoted=yes record=${line#'"'} ;;
            *)
                if [ -n "$separator" ]; then
                    local part parts
                    IFS=$separator read -r -a parts <<<"$line"
                    for part in "${parts[@]}"; do
                        part=$(trimmed "$part")
                        [ -z "$part" ] || found+=("$part")
                    done
                else
                    found+=("$line")
                fi
                continue
                ;;
            esac
        else
            record+=$'\n'$line
        fi
        # It ends at a mark that is not one of two.
        local bare=${record//'""'/}
        if [[ $bare == *'"' ]]; then
            record=${record%'"'}
            found+=("${record//'""'/'"'}")
            quoted='' record=''
        fi
    done <<<"$text"
    [ -z "$quoted" ] || fail "a quotation mark in an input is not closed"
}

# boolean NAME: whether it is true. Fails for what is no boolean.
boolean() {
    case $(input "$1") in
    true | True | TRUE) return 0 ;;
    '' | false | False | FALSE) return 1 ;;
    *) fail "the input $1 is neither true nor false" ;;
    esac
}

words=()

# each INPUT FLAG [SEPARATOR]: a flag for each of its records.
each() {
    local record
    records "$(input "$1")" "${3-}"
    for record in "${found[@]}"; do
        words+=("--$2=$record")
    done
}

# one INPUT FLAG: a flag, if it is not empty.
one() {
    local value
    value=$(trimmed "$(input "$1")")
    [ -z "$value" ] || words+=("--$2=$value")
}

# field TEXT: as a field of a flag of several has it.
field() {
    case $1 in
    *[,\"]*) printf '"%s"' "${1//'"'/'""'}" ;;
    *) printf '%s' "$1" ;;
    esac
}

# Secrets reach the program in its environment, and no list of processes shows them.
secrets() {
    local record id number=0
    records "$(input secrets)"
    for record in "${found[@]}"; do
        id=$(secret_id "$record" secrets)
        number=$((number + 1))
        export "OCIBAKE_ACTION_SECRET_$number=${record#*=}"
        words+=("--secret=id=$id,env=OCIBAKE_ACTION_SECRET_$number")
    done
    records "$(input secret-envs)" ,
    for record in "${found[@]}"; do
        id=$(secret_id "$record" secret-envs)
        words+=("--secret=id=$id,$(field "env=${record#*=}")")
    done
    records "$(input secret-files)"
    for record in "${found[@]}"; do
        id=$(secret_id "$record" secret-files)
        words+=("--secret=id=$id,$(field "src=${record#*=}")")
    done
}

secret_id() {
    [[ $1 == *=* ]] || fail "the input $2 has a line that is not ID=VALUE"
    local id=${1%%=*}
    [[ $id =~ ^[A-Za-z0-9._-]+$ ]] || fail "the input $2 has an ID that is more than letters, digits and ._-"
    printf '%s' "$id"
}

# What docker's action does and this does not: refused where the image would be another one than was asked for, and else told.
for name in provenance sbom; do
    case $(input "$name") in
    '' | false) ;;
    *) fail "the input $name is not supported: ocibake makes no attestations (leave it out, or set it to false)" ;;
    esac
done
records "$(input attests)"
for record in "${found[@]}"; do
    [[ $record == *disabled=true* ]] || fail "the input attests is not supported: ocibake makes no attestations"
done
for name in builder cgroup-parent; do
    [ -z "$(input "$name")" ] || warn "the input $name changes nothing: there is no daemon"
done

each tags tag ,
each platforms platform ,
each labels label
each annotations annotation
each build-args build-arg
each build-contexts build-context
each add-hosts add-host ,
each allow allow ,
each no-cache-filters no-cache-filter ,
each outputs output
each cache-from cache-from
each cache-to cache-to
each ssh ssh
each ulimit ulimit ,
one file file
one target target
one network network
one shm-size shm-size
one call call
secrets
for flag in push load pull no-cache; do
    if boolean "$flag"; then
        words+=("--$flag")
    fi
done

place=$(mktemp -d "${RUNNER_TEMP:-/tmp}/ocibake-XXXXXX")
trap 'rm -rf "$place"' EXIT
context=$(input context)
digest=$(ocibake build --metadata-file="$place/metadata.json" "${words[@]}" -- "${context:-.}")
if [ ! -s "$place/metadata.json" ]; then
    # Something was asked, with `call`, and nothing built.
    printf '%s\n' "$digest"
    exit 0
fi
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "ocibake has answered with what is no digest"
imageid=$(grep -oE '"containerimage\.config\.digest":"sha256:[0-9a-f]{64}"' "$place/metadata.json" | head -n 1 | grep -oE 'sha256:[0-9a-f]{64}' || true)

# The metadata holds what others wrote: it ends at a word that nobody could foresee.
end=end-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
{
    printf 'digest=%s\nimageid=%s\n' "$digest" "${imageid:-$digest}"
    printf 'metadata<<%s\n' "$end"
    cat "$place/metadata.json"
    printf '\n%s\n' "$end"
} >>"${GITHUB_OUTPUT:-/dev/null}"

boolean summary || exit 0
"$(dirname "${BASH_SOURCE[0]}")/summary.sh" "$digest" "$place/metadata.json" >>"${GITHUB_STEP_SUMMARY:-/dev/null}" ||
    warn "the summary of the job could not be written"
