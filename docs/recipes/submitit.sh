#!/bin/bash
# A study as jobs that the command submits by itself: 16 jobs of one GPU and four hours each, eight at a time.
# The command watches them; it can be ended, and started again to go on watching. Logs are in results/jobs.
#
#   bash submitit.sh study.toml
#
set -u
exec landscape run "$1" --engine submitit --cluster "${CLUSTER:-slurm}" --device "${DEVICE:-cuda}" \
    --jobs "${JOBS:-16}" --time 240 --array-parallelism 8 ${PARTITION:+--partition "$PARTITION"}
