#!/bin/bash
# A study as a Slurm job array without any engine: every job does its share i/n of the tasks, and all share one folder
# of results. A job that is told that its time is over stops, saves what it has, and is put into the queue again.
#
#   sbatch --array=1-16 sbatch_array.sh study.toml
#
#SBATCH --job-name=landscape
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#SBATCH --output=landscape-%A_%a.log
set -u
study=$1
device=${DEVICE:-cuda}
shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"

# The signal is for this script (B:), which hands it on and waits for the end of the run.
trap '[ -n "${run:-}" ] && kill -TERM "$run"' TERM
srun landscape run "$study" --device "$device" --shard "$shard" &
run=$!
wait "$run"
code=$?
trap '' TERM
while kill -0 "$run" 2>/dev/null; do # the signal ended the wait, and not the run
    wait "$run"
    code=$?
done

if [ "$code" -eq 75 ]; then # stopped by the signal: go on later
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
