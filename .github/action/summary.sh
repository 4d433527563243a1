#!/usr/bin/env bash
# summary.sh DIGEST METADATA: prints what was built, as Markdown. All that others wrote stands in code, without what could end it.
set -euo pipefail
digest=$1 metadata=$2

printf '### Image built by ocibake\n\n'
if ! command -v jq >/dev/null; then
    printf '`%s`\n' "$digest"
    exit 0
fi
# What others wrote, as code that it cannot end.
code='def code: "`" + (tostring | gsub("[`|<>&\\r\\n\\\\]"; " ") | .[0:200]) + "`";'
jq -r --arg digest "$digest" "$code"'
    "| | |", "|---|---|",
    "| digest | \($digest | code) |",
    (.["image.name"] | split(",")[] | select(. != "") | "| name | \(code) |")
' "$metadata"

# Each platform and its size, as the store has them.
name=$(jq -r '.["image.name"] | split(",")[0] // ""' "$metadata")
if report=$(ocibake inspect --json "${name:-$digest}" 2>/dev/null); then
    jq -r --arg digest "$digest" "$code"'
        def size: if . < 1048576 then "\(. / 102.4 | round / 10) KiB" else "\(. / 104857.6 | round / 10) MiB" end;
        if .digest == $digest then .images[] | "| \(.platform | code) | \(.totalSize | size) |" else empty end
    ' <<<"$report"
fi

jq -r "$code"'
    (.["ocibake.commands"] // []) as $commands | if $commands == [] then empty else
        "", "| command | platform | time |", "|---|---|---|",
        ($commands[] | "| \(.title | code) | \(.platform | code) | \(if .cached then "cached" else "\(.milliseconds / 100 | round / 10) s" end) |")
    end
' "$metadata"
