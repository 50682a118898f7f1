#!/bin/sh
# Shows that each case of the conformance suite can fail: with the feature sabotage-<case> exactly
# that case must be red, over both transports, and every other one green.
set -u
cd "$(dirname "$0")/../.."
bad=0
for case in ${*:-denied recorder ledger kill lease block credential busy}; do
    log=$(cargo test -q -p sallyport-gateway --lib --features "sabotage-$case" conformance 2>&1)
    red=$(printf '%s\n' "$log" | sed -n 's/^    conformance::tests::\([a-z_]*\)$/\1/p' | sort -u | tr '\n' ' ')
    if [ "$red" = "tls_$case unix_$case " ]; then
        echo "$case: red as it must be"
    else
        echo "$case: WRONG, red are: ${red:-none}"
        printf '%s\n' "$log" | tail -20
        bad=1
    fi
done
exit $bad
