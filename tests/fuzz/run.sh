#!/bin/bash
# Builds the fuzz targets with libFuzzer, ASan and UBSan, and runs each for the given number of seconds.
# The corpus, minimized before each run, and inputs that crash stay in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
python=${PYTHON:-.venv/bin/python}
data=${JPEGFREQ_DATA:-../shared/data}
build=build/fuzz

type clang++ > /dev/null || { echo "libFuzzer comes with clang, and there is no clang++ here"; exit 1; }
mkdir -p "$build/crashes"
"$python" -m cmake -S tests/fuzz -B "$build/fuzzer" -DCMAKE_CXX_COMPILER=clang++ -DENGINE=fuzzer > "$build/cmake.log"
"$python" -m cmake --build "$build/fuzzer" -j 2 > "$build/build.log" || { tail -n 40 "$build/build.log"; exit 1; }

seeds=()
for folder in "$data/hostile" "$data/odd"; do
    if [ -d "$folder" ]; then seeds+=("$folder"); fi
done
[ ${#seeds[@]} -gt 0 ] || echo "No seeds: $data/hostile and odd are missing; the fuzzer starts from nothing."

# Runs one target over its corpus and, the first time, the seeds.
fuzz() {
    local name=$1 target=${1%%:*}
    shift
    JPEGFREQ_INSTRUCTION_SET=${name##*:} "$build/fuzzer/fuzz_$target" "$build/corpus/$target" "${seeds[@]}" \
        -max_len=16384 -timeout=5 -rss_limit_mb=2048 -dict=tests/fuzz/jpeg.dict \
        -artifact_prefix="$build/crashes/$target-" -print_final_stats=1 "$@" > "$build/$target.log" 2>&1
}

# Keeps the smallest set of inputs that reaches everything that the corpus and the seeds reach.
minimize() {
    local target=$1 smaller="$build/corpus/$1.smaller"
    rm -rf "$smaller" && mkdir -p "$smaller" "$build/corpus/$target"
    "$build/fuzzer/fuzz_$target" -merge=1 -max_len=16384 "$smaller" "$build/corpus/$target" "${seeds[@]}" \
        > "$build/$target.merge.log" 2>&1
    rm -rf "$build/corpus/$target" && mv "$smaller" "$build/corpus/$target"
}

for target in header coefficients batch resample write; do minimize "$target"; done
seeds=()

failed=()
total=0
# Every path of the run-time dispatch: what this machine has, AVX2 where only the resample differs from AVX-512, what machines run
# that no code is written for, and that without lanes.
for run in header: coefficients: coefficients:generic coefficients:plain batch: batch:generic resample: resample:avx2 resample:generic \
    write: write:generic; do
    fuzz "$run" -max_total_time="$seconds" || failed+=("$run")
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/${run%%:*}.log")
    total=$((total + ${executions:-0}))
    echo "$run ${executions:-0} executions in $seconds s"
    grep -E '^SUMMARY|violated' "$build/${run%%:*}.log" || true
done
echo "$total executions in all"
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}; the inputs are in $build/crashes, the logs beside it"
    exit 1
fi
