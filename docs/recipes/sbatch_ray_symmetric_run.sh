#!/bin/bash
# A study on a Ray cluster of several Slurm nodes: one process on each node starts Ray, and the first one runs the study.
# Ray is stopped at the end on every node, so the nodes must not be shared with another of your jobs.
#
#   sbatch --nodes=8 sbatch_ray_symmetric_run.sh study.toml
#
#SBATCH --job-name=landscape
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=04:00:00
#SBATCH --output=landscape-%j.log
set -u
study=$1
device=${DEVICE:-cuda}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=${RAY_PORT:-6379}

# One token for all nodes of this job: without it anybody on the network could use the cluster.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export RAY_USAGE_STATS_ENABLED=0

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    landscape run "$study" --engine ray --address "$head:$port" --device "$device"
