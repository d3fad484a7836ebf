#!/bin/sh
# What Helm has rendered comes in, the same with exeunt in it goes out. Arguments are those of `kubectl exeunt inject`.
exec kubectl-exeunt inject "$@" -
