#!/bin/sh
# The job: fetch ten pages of a service, each one through Envoy. For any sh with curl or wget (busybox has one).
#
#     job.sh [URL]          default http://127.0.0.1:10000, Envoy's listener in envoy.json
#
# It need not wait for Envoy: exeunt starts it when Envoy is ready (--wait-for).
set -eu
url=${1:-http://127.0.0.1:10000}
# Envoy is the only proxy here.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

fetch() {
	if command -v curl >/dev/null; then
		curl --silent --show-error --fail "$1"
	else
		wget -q -O - "$1"
	fi
}

for page in 1 2 3 4 5 6 7 8 9 10; do
	fetch "$url/pages/$page" >/dev/null
done
echo 'job: fetched 10 pages'
