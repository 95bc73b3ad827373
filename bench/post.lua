-- POST with 64 KiB, which proxies must pass on whole.
dofile("bench/figures.lua")
wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 4096)
