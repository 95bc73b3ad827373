#!/usr/bin/env bash
# Makes a company, an app and a subscribed key in a running gateway, and prints the key as the last word.
# Called as: vestibule-key.sh VESTIBULE CONFIG
set -euo pipefail
vestibule=$1 config=$2
"$vestibule" admin company create bench --config "$config" >&2
"$vestibule" admin app create bench/load --config "$config" >&2
"$vestibule" admin subscription create bench/load gold --config "$config" >&2
"$vestibule" admin key create bench/load --config "$config" --json | grep -o 'vk_live_[0-9A-Za-z_]*' | tail -n 1
