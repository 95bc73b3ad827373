#!/usr/bin/env bash
# Makes a company, an app and a subscribed key in a running gateway, and prints the key as the last word.
# Called as: vestibule-key.sh VESTIBULE CONFIG
set -euo pipefail
vestibule=$1 config=$2
"$vestibule" admin --config "$config" company create bench >&2
"$vestibule" admin --config "$config" app create bench --company bench --product gold >&2
"$vestibule" admin --config "$config" key create --app bench
